/** Apple's cards; the columns are told in `table.ts`. */
export const appleCards = `
card           | names          | pci ids | architecture | target | GiB        | also GiB | cores | memory GB/s | fp32 | fp16 | bf16 | fp8 | int8 | fp4 | W | pcie | bridge      | bridge GB/s | supports       | doubted
M1             | Apple M1       |         | Apple GPU    |        | 16 shared  |          | 7 8   | 68.25       | 2.6  | 2.6  |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | fp16 tdp
M1 Pro         | Apple M1 Pro   |         | Apple GPU    |        | 32 shared  |          | 14 16 | 204.8       | 5.3  | 5.3  |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | fp16 tdp
M1 Max         | Apple M1 Max   |         | Apple GPU    |        | 64 shared  |          | 24 32 | 409.6       | 10.6 | 10.6 |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | fp16 tdp
M1 Ultra       | Apple M1 Ultra |         | Apple GPU    |        | 128 shared |          | 48 64 | 819.2       | 21.2 | 21.2 |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | fp16 tdp
M2             | Apple M2       |         | Apple GPU    |        | 24 shared  |          | 8 10  | 102.4       | 3.6  | 3.6  |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | fp16 tdp
M2 Pro         | Apple M2 Pro   |         | Apple GPU    |        | 32 shared  |          | 16 19 | 204.8       | 6.8  | 6.8  |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | fp16 tdp
M2 Max         | Apple M2 Max   |         | Apple GPU    |        | 96 shared  |          | 30 38 | 409.6       | 13.6 | 13.6 |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | fp16 tdp
M2 Ultra       | Apple M2 Ultra |         | Apple GPU    |        | 192 shared |          | 60 76 | 819.2       | 27.2 | 27.2 |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | fp16 tdp
M3             | Apple M3       |         | Apple GPU    |        | 24 shared  |          | 8 10  | 102.4       | 4.1  | 4.1  |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | tflops tdp
M3 Pro         | Apple M3 Pro   |         | Apple GPU    |        | 36 shared  |          | 14 18 | 153.6       | 7.4  | 7.4  |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | tflops tdp
M3 Max 30-core | Apple M3 Max   |         | Apple GPU    |        | 96 shared  |          | 30    | 307.2       | 10.7 | 10.7 |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | tflops tdp
M3 Max 40-core | Apple M3 Max   |         | Apple GPU    |        | 128 shared |          | 40    | 409.6       | 14.2 | 14.2 |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | tflops tdp
M3 Ultra       | Apple M3 Ultra |         | Apple GPU    |        | 512 shared |          | 60 80 | 819.2       | 28.4 | 28.4 |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | tflops tdp
M4             | Apple M4       |         | Apple GPU    |        | 32 shared  |          | 8 10  | 120         | 4.6  | 4.6  |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | tflops tdp
M4 Pro         | Apple M4 Pro   |         | Apple GPU    |        | 64 shared  |          | 16 20 | 273         | 9.2  | 9.2  |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | tflops tdp
M4 Max 32-core | Apple M4 Max   |         | Apple GPU    |        | 64 shared  |          | 32    | 409.6       | 14.7 | 14.7 |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | tflops tdp
M4 Max 40-core | Apple M4 Max   |         | Apple GPU    |        | 128 shared |          | 40    | 546         | 18.4 | 18.4 |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | tflops tdp
M5             | Apple M5       |         | Apple GPU    |        | 32 shared  |          | 8 10  | 153.6       | 4.2  | 4.2  |      |     |      |     |   |      | Thunderbolt |             | fp16 bf16 int8 | tflops tdp
`
