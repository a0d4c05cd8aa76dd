import { describe, expect, it } from 'vitest'
import { specOf } from '../../../test/support/engine-contract/bench.ts'
import type { InstanceSplit } from '../contract.ts'
import { placementDifferences } from './placement-check.ts'

/** As llama.cpp prints it. */
const log = `load_tensors: offloaded 33/33 layers to GPU
load_tensors:   CPU_Mapped model buffer size =   281.81 MiB
load_tensors:        CUDA0 model buffer size =  2400.02 MiB
load_tensors: RPC0 model buffer size =  1900.53 MiB
llama_kv_cache:      CUDA0 KV buffer size =   200.00 MiB`

const split: InstanceSplit = { mode: 'layer', devices: ['CUDA0', 'RPC0'], weights: [18, 15] }

const differences = (changes: Partial<InstanceSplit> = {}, text = log) => {
  const spec = specOf('/m.gguf', { gpuLayers: 'auto', split: { ...split, ...changes } })
  return placementDifferences(text, spec)
}

describe('a load that is as planned', () => {
  it('has nothing to tell', () => {
    expect(differences()).toEqual([])
    expect(placementDifferences(log, specOf('/m.gguf'))).toEqual([])
  })

  it('may have a draft model elsewhere', () => {
    const draft = `${log}
common_speculative_init_result: loading draft model '/d.gguf'
load_tensors: offloaded 3/3 layers to GPU
load_tensors:        CUDA7 model buffer size =    20.02 MiB`
    expect(differences({}, draft)).toEqual([])
  })

  it('may hold rows in a buffer of their own', () => {
    const rows = `${log}\nload_tensors:  CUDA_Split model buffer size =  2400.02 MiB`
    expect(differences({ mode: 'row' }, rows)).toEqual([])
  })
})

describe('a load that is not as planned', () => {
  it('has other layers on devices', () => {
    expect(differences({ weights: [18, 10] })).toEqual([
      '28 of 33 layers were to lie on devices, the engine placed 33',
    ])
    expect(differences({}, log.replace('33/33', '30/33'))).toEqual([
      '33 of 33 layers were to lie on devices, the engine placed 30',
    ])
  })

  it('has weights where none were to be, and none where some were to be', () => {
    expect(differences({ devices: ['CUDA0', 'CUDA1'] })).toEqual([
      'CUDA1 was to hold a share of 15, the engine put no weights there',
      'RPC0 was to hold nothing, the engine put 1900.53 MiB of weights there',
    ])
  })
})
