import { describe, expect, it } from 'vitest'
import type { InstanceSpec } from '../contract.ts'
import { fitParamsLine, parseFitPrint } from './fit-params.ts'

const mib = 2 ** 20

const spec: InstanceSpec = {
  id: '1',
  modelName: 'm',
  modelPath: '/m.gguf',
  projectorPaths: [],
  adapterPaths: [],
  contextLength: 4096,
  slots: 2,
  embedding: false,
  gpuLayers: 'auto',
  flashAttention: 'auto',
  kvCacheType: 'f16',
  contextShift: true,
  stallTimeoutMs: 1000,
}

describe("llama.cpp's own figure", () => {
  it('is read device by device, from between whatever else is printed', () => {
    const text = `0.00.089.880 I llama_fit_params: printing estimated memory in MiB to stdout (device, model) ...
CUDA0 17904 384 898 
CUDA1 9000 192 300 
Host 166 0 12 
`
    expect(parseFitPrint(text)).toEqual([
      {
        name: 'CUDA0',
        host: false,
        modelBytes: 17904 * mib,
        kvCacheBytes: 384 * mib,
        computeBytes: 898 * mib,
        outputBytes: 0,
      },
      {
        name: 'CUDA1',
        host: false,
        modelBytes: 9000 * mib,
        kvCacheBytes: 192 * mib,
        computeBytes: 300 * mib,
        outputBytes: 0,
      },
      {
        name: 'Host',
        host: true,
        modelBytes: 166 * mib,
        kvCacheBytes: 0,
        computeBytes: 12 * mib,
        outputBytes: 0,
      },
    ])
    expect(parseFitPrint('-c 4096 -ngl 48\nerror: no such file\n')).toEqual([])
  })

  it('is asked for with the split, and only with flags that the program has', () => {
    const split = { mode: 'layer', devices: ['CUDA0', 'CUDA1'], weights: [20, 13] } as const
    const help = '--fit-print --parallel --flash-attn --split-mode --device --tensor-split'
    expect(fitParamsLine({ ...spec, split, kvCacheType: 'q8_0' }, help)).toEqual([
      ...['--model', '/m.gguf', '--fit-print', 'on', '-c', '8192', '--parallel', '2', '--flash-attn', 'auto'],
      ...['--cache-type-k', 'q8_0', '--cache-type-v', 'q8_0'],
      ...['--split-mode', 'layer', '--device', 'CUDA0,CUDA1', '--tensor-split', '20,13'],
    ])
    expect(fitParamsLine({ ...spec, gpuLayers: 0 }, '--fit-print')).toEqual([
      ...['--model', '/m.gguf', '--fit-print', 'on', '-c', '8192', '--n-gpu-layers', '0'],
    ])
  })
})
