import { describe, expect, it } from 'vitest'
import { createLog, findFailure, lacksPooling, parseMemory } from './log.ts'

const mib = 1024 ** 2

describe("the server's log", () => {
  it('keeps the end when more is printed than it holds', () => {
    const log = createLog()
    for (let index = 0; index < 1000; index++) log.append(Buffer.from(`line ${index} ${'x'.repeat(1000)}\n`))
    log.append(Buffer.from('the last words'))
    expect(log.text().length).toBeLessThanOrEqual(256 * 1024)
    expect(log.text()).toMatch(/the last words$/)
    log.clear()
    expect(log.text()).toBe('')
  })

  it('tells the memory of devices from that of the host', () => {
    const text = `load_tensors:          AMX model buffer size =     0.50 MiB
load_tensors:   CPU_Mapped model buffer size =   100.00 MiB
load_tensors:        CUDA0 model buffer size =  4000.00 MiB
load_tensors: RPC0[10.0.0.2:50052] model buffer size =  2000.00 MiB
llama_context:  CUDA_Host  output buffer size =     1.00 MiB
llama_kv_cache:      CUDA1 KV buffer size =   512.00 MiB
sched_reserve:    Vulkan0 compute buffer size =    64.00 MiB
llama_memory_recurrent:        CPU RS buffer size =     2.00 MiB
llama_kv_cache: size =  512.00 MiB (  4096 cells,  32 layers)
`
    const { devices, ...sums } = parseMemory(text)
    expect(sums).toEqual({ vramBytes: 6576 * mib, hostBytes: 103.5 * mib })
    const none = { modelBytes: 0, kvCacheBytes: 0, computeBytes: 0, outputBytes: 0 }
    expect(devices).toContainEqual({ ...none, name: 'CUDA_Host', host: true, outputBytes: mib })
    expect(devices).toContainEqual({ ...none, name: 'CUDA1', host: false, kvCacheBytes: 512 * mib })
    expect(devices).toContainEqual({ ...none, name: 'CPU', host: true, kvCacheBytes: 2 * mib })
    expect(devices).toHaveLength(8)
    expect(parseMemory('nothing of the kind')).toEqual({ vramBytes: 0, hostBytes: 0 })
  })

  it('tells whether the model pools by itself', () => {
    expect(lacksPooling('print_info: pooling type          = -1')).toBe(true)
    expect(lacksPooling('print_info: pooling type          = 1')).toBe(false)
  })
})

describe('the reason for an end', () => {
  it.each([
    ['ggml_aligned_malloc: insufficient memory (attempted to allocate 62500.00 MB)', 'out_of_memory'],
    [
      'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9 MiB on device 0: cudaMalloc failed: out of memory',
      'out_of_memory',
    ],
    ['ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory', 'out_of_memory'],
    ["srv start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 1", 'address_in_use'],
  ])('in "%s" is %s', (line, kind) => {
    const log = `first\n${line}\nsrv load_model: failed to load model\ncleaning up before exit...\n`
    expect(findFailure(log, true)).toEqual({ kind, words: line })
  })

  it('is what the loader says, before what follows from it', () => {
    const log = `llama_model_load: error loading model: unknown model architecture: 'x'
llama_model_load_from_file_impl: failed to load model
srv llama_server: exiting due to model loading error`
    expect(findFailure(log, true)).toEqual({ kind: 'other', words: "unknown model architecture: 'x'" })
  })

  it('is a failed assertion while running, but not an error of a single request', () => {
    expect(findFailure('a\nggml.c:1: GGML_ASSERT(x) failed\nb', false).words).toBe(
      'ggml.c:1: GGML_ASSERT(x) failed',
    )
    expect(findFailure('srv send_error: task id = 6, error: request exceeds', false)).toEqual({
      kind: 'other',
    })
    expect(findFailure('error: invalid argument: --foo', true).words).toBe('error: invalid argument: --foo')
    expect(findFailure('', true)).toEqual({ kind: 'other' })
  })
})
