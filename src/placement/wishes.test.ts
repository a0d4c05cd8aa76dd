import { describe, expect, it } from 'vitest'
import { loadConfig } from '../config/index.ts'
import type { PlanDevice } from './contract.ts'
import { engineEnvironment, wishesFrom } from './wishes.ts'

/** The section as a file would have it. */
function section(yaml = '{}') {
  const sources = {
    env: {},
    flags: { config: 'a' },
    homeDir: '/',
    cwd: '/',
    readFile: () => `multi_gpu: ${yaml}`,
  }
  return loadConfig(sources).config.multiGpu
}

const device = (id: string, vendor: PlanDevice['vendor']): PlanDevice => ({
  id,
  node: 'here',
  name: id.toUpperCase(),
  vendor,
  backend: vendor === 'nvidia' ? 'cuda' : 'rocm',
  totalBytes: 1,
  usableBytes: 1,
  memoryBytesPerS: 1,
  flopsPerS: 1,
})
const devices = [device('n0', 'nvidia'), device('n1', 'nvidia'), device('a0', 'amd')]
const wishes = (yaml?: string) => wishesFrom(section(yaml), { devices }).wishes

describe('what the section asks of a plan', () => {
  it('is little where nothing is written', () => {
    expect(wishesFrom(section(), { devices })).toEqual({
      problems: [],
      wishes: {
        crossVendor: true,
        coordinationOverhead: 0.1,
        algorithm: 'performance_aware',
        objective: 'latency',
        division: 'performance_aware',
        kvCacheDistribution: 'by_layer',
        overlapCommunication: true,
      },
    })
  })

  it.each([
    ['{strategy: tensor, tensor_parallel: {size: 2}}', { strategy: 'tensor', tensorSize: 2 }],
    ['{strategy: pipeline, pipeline_parallel: {size: 2}}', { strategy: 'pipeline', pipelineSize: 2 }],
    ['{strategy: data, data_parallel: {replicas: 3}}', { strategy: 'data', replicas: 3 }],
    ['{pipeline_parallel: {micro_batch_size: 4}}', { microBatchSize: 4 }],
    ['{backends: {primary: vllm, legacy: llama_cpp}}', { engines: ['vllm', 'llama.cpp'] }],
    ['{tensor_parallel: {communication: nccl}}', { tensorVendor: 'nvidia' }],
    ['{tensor_parallel: {communication: rccl}}', { tensorVendor: 'amd' }],
    ['{tensor_parallel: {split_strategy: memory_aware}}', { division: 'memory_aware' }],
    ['{scheduling: {algorithm: power_aware}}', { algorithm: 'power_aware' }],
    ['{scheduling: {metrics: [throughput, latency]}}', { objective: 'throughput' }],
    ['{scheduling: {metrics: [memory, latency]}}', { algorithm: 'memory_only', objective: 'latency' }],
    ['{scheduling: {metrics: [power]}}', { algorithm: 'power_aware' }],
    ['{scheduling: {metrics: [power], algorithm: memory_only}}', { algorithm: 'memory_only' }],
    ['{memory: {kv_cache_distribution: balanced}}', { kvCacheDistribution: 'balanced' }],
    ['{memory: {pooling: false}}', { strategy: 'single' }],
    ['{enabled: false, strategy: tensor}', { strategy: 'single' }],
    ['{enabled: false, data_parallel: {replicas: 2}}', { strategy: 'data', replicas: 2 }],
    [
      '{cross_vendor: {enabled: false, coordination_overhead: 0}}',
      { crossVendor: false, coordinationOverhead: 0 },
    ],
    ['{pipeline_parallel: {overlap_communication: false}}', { overlapCommunication: false }],
  ])('%s', (yaml, expected) => {
    expect(wishes(yaml)).toMatchObject(expected)
  })

  it('leaves out sizes that the strategy does not have', () => {
    const sizes = 'tensor_parallel: {size: 2}, pipeline_parallel: {size: 2}, data_parallel: {replicas: 2}'
    const named = (strategy: string) =>
      Object.keys(wishes(`{strategy: ${strategy}, ${sizes}}`)).filter((key) => /Size$|replicas/.test(key))
    expect(named('single')).toEqual([])
    expect(named('data')).toEqual(['replicas'])
    expect(named('tensor')).toEqual(['tensorSize'])
    expect(named('pipeline')).toEqual(['pipelineSize'])
    expect(named('hybrid')).toEqual(['tensorSize', 'pipelineSize', 'replicas'])
    expect(named('auto')).toEqual(['tensorSize', 'pipelineSize', 'replicas'])
  })

  it("keeps plans off a vendor's GPUs that its list leaves out, and names those that are not there", () => {
    expect(wishes('{cross_vendor: {cuda_gpus: [1]}}').avoid).toEqual(['n0'])
    expect(wishes('{cross_vendor: {rocm_gpus: []}}').avoid).toEqual(['a0'])
    expect(wishesFrom(section('{cross_vendor: {cuda_gpus: [0, 2, 5]}}'), { devices }).problems).toEqual([
      "multi_gpu.cross_vendor.cuda_gpus: GPU 2 is amd's A0; `drover gpus` shows their numbers",
      'multi_gpu.cross_vendor.cuda_gpus: there is no GPU 5; `drover gpus` shows their numbers',
    ])
  })
})

describe('variables of engine processes', () => {
  it.each([
    ['{}', {}],
    ['{tensor_parallel: {communication: nccl}}', { GGML_CUDA_ALLREDUCE: 'nccl' }],
    ['{tensor_parallel: {communication: rccl}}', { GGML_CUDA_ALLREDUCE: 'nccl' }],
    ['{tensor_parallel: {communication: gloo}}', { GGML_CUDA_ALLREDUCE: 'none' }],
    ['{memory: {cross_gpu_sharing: true}}', { GGML_CUDA_P2P: '1' }],
    [
      '{memory: {defragmentation: true}}',
      {
        PYTORCH_CUDA_ALLOC_CONF: 'expandable_segments:True',
        PYTORCH_HIP_ALLOC_CONF: 'expandable_segments:True',
      },
    ],
    ['{memory: {cross_gpu_sharing: false}}', { NCCL_P2P_DISABLE: '1' }],
  ])('%s', (yaml, expected) => {
    expect(engineEnvironment(section(yaml))).toEqual(expected)
  })
})
