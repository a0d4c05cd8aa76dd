import { describe, expect, it } from 'vitest'
import { loadConfig } from './load.ts'

const path = '/home/ada/.drover/config.yaml'

function load(text: string, env: Record<string, string> = {}) {
  return loadConfig({
    env,
    flags: {},
    homeDir: '/home/ada',
    cwd: '/srv',
    readFile: (name) => (name === path ? text : undefined),
  }).config
}

const whole = `
multi_gpu:
  enabled: true
  strategy: hybrid
  backends: {primary: vllm, fallback: exllamav2, legacy: llama_cpp}
  tensor_parallel: {size: 4, communication: nccl, split_strategy: balanced}
  pipeline_parallel: {size: 2, micro_batch_size: 1, overlap_communication: true}
  data_parallel: {replicas: 2, load_balancing: round_robin}
  cross_vendor: {enabled: true, cuda_gpus: [0, 1], rocm_gpus: [2, 3], intel_gpus: [4], coordination_overhead: 0.1}
  scheduling:
    algorithm: performance_aware
    metrics: [latency, throughput, memory, power]
    migration: {enabled: true, threshold: 0.8, cooldown: 30}
  memory: {pooling: true, defragmentation: true, cross_gpu_sharing: true, kv_cache_distribution: balanced}
  monitoring: {enabled: true, metrics_collection: true, performance_profiling: true, auto_optimization: true}
`

describe('the section multi_gpu', () => {
  it('is read with every key, and the policy is the one that it names', () => {
    const config = load(whole)
    expect(config.multiGpu).toEqual({
      enabled: true,
      strategy: 'hybrid',
      backends: { primary: 'vllm', fallback: 'exllama', legacy: 'llama.cpp' },
      tensorParallel: { size: 4, communication: 'nccl', splitStrategy: 'balanced' },
      pipelineParallel: { size: 2, microBatchSize: 1, overlapCommunication: true },
      dataParallel: { replicas: 2, loadBalancing: 'round_robin' },
      crossVendor: {
        enabled: true,
        cudaGpus: [0, 1],
        rocmGpus: [2, 3],
        intelGpus: [4],
        coordinationOverhead: 0.1,
      },
      scheduling: {
        algorithm: 'performance_aware',
        metrics: ['latency', 'throughput', 'memory', 'power'],
        migration: { enabled: true, threshold: 0.8, cooldownMs: 30_000 },
      },
      memory: {
        pooling: true,
        defragmentation: true,
        crossGpuSharing: true,
        kvCacheDistribution: 'balanced',
      },
      monitoring: {
        enabled: true,
        metricsCollection: true,
        performanceProfiling: true,
        autoOptimization: true,
      },
    })
    expect(config.policy).toBe('round_robin')
  })

  it('may be written in camelCase, and partly', () => {
    const { multiGpu } = load('multiGpu:\n  tensorParallel: {splitStrategy: balanced}\n  memory:\n')
    expect(multiGpu.tensorParallel).toEqual({
      size: undefined,
      communication: undefined,
      splitStrategy: 'balanced',
    })
    expect(multiGpu.memory.pooling).toBe(true)
  })

  it.each([
    [
      'multi_gpu: {stratgy: tensor}',
      'multi_gpu.stratgy: there is no such setting; there are multi_gpu.backends, ',
    ],
    [
      'multi_gpu: {memory: {pool: true}}',
      'there are multi_gpu.memory.cross_gpu_sharing, multi_gpu.memory.defrag',
    ],
    ['multi_gpu: tensor', 'multi_gpu: it holds "tensor", where settings of the section are expected: '],
    ['multi_gpu: {strategy: best}', 'multi_gpu.strategy: "best" is not allowed; it takes auto, single, data'],
    ['multi_gpu: {backends: {primary: tgi}}', 'primary: "tgi" is not allowed; it takes llama_cpp, embedded'],
    [
      'multi_gpu: {tensor_parallel: {size: 0}}',
      'size: 0 is not allowed; it takes a whole number from 1, or auto',
    ],
    [
      'multi_gpu: {scheduling: {metrics: [speed]}}',
      'metrics: ["speed"] is not allowed; it takes a list of latency',
    ],
    [
      'multi_gpu: {scheduling: {migration: {threshold: 80}}}',
      'threshold: 80 is not allowed; it takes a number from 0',
    ],
    [
      'multi_gpu: {strategy: tensor}\nmultiGpu: {strategy: data}',
      'the setting is written twice, as multi_gpu.strategy',
    ],
    [
      'multi_gpu: {strategy: tensor, memory: {pooling: false}}',
      'pooling: false keeps each model on one device',
    ],
    [
      'multi_gpu: {tensor_parallel: {communication: gloo}, backends: {primary: vllm}}',
      '"gloo" is not allowed with',
    ],
    [
      'multi_gpu: {backends: {primary: vllm, fallback: vllm}}',
      `fallback: "vllm" is ${path}: multi_gpu.backends.primary`,
    ],
    ['policy: locality\nmulti_gpu: {data_parallel: {load_balancing: least_loaded}}', 'leave one of them out'],
  ])('%s is refused', (text, message) => {
    expect(() => load(text)).toThrow(message)
  })
})

describe('variables of the section', () => {
  it.each([
    ['OLLAMA_MULTI_GPU', 'off', { enabled: false }],
    ['OLLAMA_GPU_STRATEGY', 'Tensor', { strategy: 'tensor' }],
    ['OLLAMA_TENSOR_PARALLEL_SIZE', '4', { tensorParallel: { size: 4 } }],
    ['OLLAMA_PIPELINE_PARALLEL_SIZE', 'auto', { pipelineParallel: { size: undefined } }],
    ['OLLAMA_CUDA_GPUS', '0, 2', { crossVendor: { cudaGpus: [0, 2] } }],
    ['OLLAMA_ROCM_GPUS', '3', { crossVendor: { rocmGpus: [3] } }],
    ['OLLAMA_INTEL_GPUS', 'none', { crossVendor: { intelGpus: [] } }],
    ['OLLAMA_GPU_MEMORY_POOL', '0', { memory: { pooling: false } }],
    ['OLLAMA_KV_CACHE_DISTRIBUTION', 'balanced', { memory: { kvCacheDistribution: 'balanced' } }],
    ['OLLAMA_AUTO_MIGRATION', 'false', { scheduling: { migration: { enabled: false } } }],
    ['OLLAMA_BACKEND', 'exllamav2', { backends: { primary: 'exllama' } }],
    ['OLLAMA_FALLBACK_BACKEND', 'LLAMA_CPP', { backends: { fallback: 'llama.cpp' } }],
    [
      'DROVER_MULTI_GPU_SCHEDULING_MIGRATION_COOLDOWN',
      '2m',
      { scheduling: { migration: { cooldownMs: 120_000 } } },
    ],
  ])('%s=%s', (name, value, expected) => {
    expect(load('', { [name]: value }).multiGpu).toMatchObject(expected)
  })

  it('count before the file, each by itself', () => {
    const { multiGpu } = load(whole.replace('hybrid', 'tensor'), { OLLAMA_GPU_STRATEGY: 'pipeline' })
    expect(multiGpu).toMatchObject({ strategy: 'pipeline', pipelineParallel: { size: 2 }, enabled: true })
  })

  it.each([
    ['OLLAMA_MULTI_GPU', 'perhaps', 'true or false'],
    ['OLLAMA_GPU_STRATEGY', 'best', 'auto, single, data, tensor, pipeline or hybrid'],
    ['OLLAMA_TENSOR_PARALLEL_SIZE', '-1', 'a whole number from 1, or auto'],
    ['OLLAMA_PIPELINE_PARALLEL_SIZE', 'two', 'a whole number from 1, or auto'],
    ['OLLAMA_CUDA_GPUS', '0,x', 'a list of numbers'],
    ['OLLAMA_ROCM_GPUS', 'all', 'a list of numbers'],
    ['OLLAMA_INTEL_GPUS', '1.5', 'a list of numbers'],
    ['OLLAMA_GPU_MEMORY_POOL', '8GiB', 'true or false'],
    ['OLLAMA_KV_CACHE_DISTRIBUTION', 'even', 'by_layer or balanced'],
    ['OLLAMA_AUTO_MIGRATION', 'maybe', 'true or false'],
    ['OLLAMA_BACKEND', 'tgi', 'llama_cpp, embedded, ollama, vllm, sglang, exllamav2 or openai'],
    ['OLLAMA_FALLBACK_BACKEND', '7', 'llama_cpp, embedded, ollama, vllm, sglang, exllamav2 or openai'],
  ])('%s=%s is refused with what is allowed', (name, value, allowed) => {
    expect(() => load('', { [name]: value })).toThrow(
      `${name}: "${value}" is not allowed; it takes ${allowed}`,
    )
  })
})
