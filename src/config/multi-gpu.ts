import { z } from 'zod'
import { count, duration, durationForms, flag, list, ratio, setting } from './setting.ts'

const orAuto = <Schema extends z.ZodType>(schema: Schema) =>
  z.union([schema, z.literal('auto').transform(() => undefined)]).optional()

const sizeOrAuto = orAuto(count.pipe(z.number().min(1)))

/** Engines under the names that configurations of other servers give them too. */
const backendNames = {
  'llama.cpp': 'llama.cpp',
  llama_cpp: 'llama.cpp',
  llamacpp: 'llama.cpp',
  embedded: 'embedded',
  ollama: 'ollama',
  vllm: 'vllm',
  sglang: 'sglang',
  exllama: 'exllama',
  exllamav2: 'exllama',
  openai: 'openai',
} as const

const backend = z
  .enum(Object.keys(backendNames) as (keyof typeof backendNames)[])
  .transform((name) => backendNames[name])
const backendForms = 'llama_cpp, embedded, ollama, vllm, sglang, exllamav2 or openai'

const gpuNumbers = z.union([
  z.array(count),
  count.transform((one) => [one]),
  z
    .string()
    .transform((written): (string | number)[] => written.split(',').map((part) => part.trim()))
    .pipe(z.array(count)),
])
const gpuForms =
  'a list of numbers as `drover gpus` shows them, such as 0,1; -1 or none in a variable for no GPU'

/** `-1` and `none` are how `CUDA_VISIBLE_DEVICES` says that there is none; nothing at all would say nothing. */
const readGpus = (text: string) => (/^(-1|none)$/i.test(text) ? [] : text)

/** As people write booleans into variables. */
const readFlag = (text: string) =>
  /^(1|t|true|on|yes)$/i.test(text) ? true : /^(0|f|false|off|no)$/i.test(text) ? false : text

const readLower = (text: string) => text.toLowerCase()

const metrics = ['latency', 'throughput', 'memory', 'power'] as const

/** How models are laid over several GPUs; the section `multi_gpu` of the file. */
export const multiGpuSettings = {
  'multiGpu.enabled': setting(flag, {
    key: 'multi_gpu.enabled',
    allowed: 'true or false',
    default: 'true',
    about:
      'Whether a model may take several GPUs. If not, each instance has one, whatever the strategy says.',
    live: true,
    ollama: { name: 'OLLAMA_MULTI_GPU', strict: true, read: readFlag },
  }),
  'multiGpu.strategy': setting(orAuto(z.enum(['single', 'data', 'tensor', 'pipeline', 'hybrid'])), {
    key: 'multi_gpu.strategy',
    allowed: 'auto, single, data, tensor, pipeline or hybrid',
    default: 'auto',
    about: 'How models are divided. `auto` takes for each model what is best for it.',
    live: true,
    ollama: { name: 'OLLAMA_GPU_STRATEGY', strict: true, read: readLower },
  }),
  'multiGpu.backends.primary': setting(backend.optional(), {
    key: 'multi_gpu.backends.primary',
    allowed: backendForms,
    about: 'The engine that is taken first. By `engine` if absent.',
    ollama: { name: 'OLLAMA_BACKEND', strict: true, read: readLower },
  }),
  'multiGpu.backends.fallback': setting(backend.optional(), {
    key: 'multi_gpu.backends.fallback',
    allowed: backendForms,
    about: 'The engine that is taken where the primary one cannot run a model, or fails at it.',
    ollama: { name: 'OLLAMA_FALLBACK_BACKEND', strict: true, read: readLower },
  }),
  'multiGpu.backends.legacy': setting(backend.optional(), {
    key: 'multi_gpu.backends.legacy',
    allowed: backendForms,
    about: 'The engine that is taken where neither of them can.',
  }),
  'multiGpu.tensorParallel.size': setting(sizeOrAuto, {
    key: 'multi_gpu.tensor_parallel.size',
    allowed: 'a whole number from 1, or auto',
    default: 'auto',
    about: 'Devices that share each layer, with the strategies `tensor` and `hybrid`.',
    live: true,
    ollama: { name: 'OLLAMA_TENSOR_PARALLEL_SIZE', strict: true },
  }),
  'multiGpu.tensorParallel.communication': setting(orAuto(z.enum(['nccl', 'rccl', 'gloo'])), {
    key: 'multi_gpu.tensor_parallel.communication',
    allowed: 'auto, nccl, rccl or gloo',
    default: 'auto',
    about:
      'What adds up the parts of a tensor. `nccl` takes GPUs of NVIDIA only, `rccl` of AMD only; `gloo` goes through the memory of the host.',
    live: true,
  }),
  'multiGpu.tensorParallel.splitStrategy': setting(
    z.enum(['balanced', 'memory_aware', 'performance_aware']),
    {
      key: 'multi_gpu.tensor_parallel.split_strategy',
      allowed: 'balanced, memory_aware or performance_aware',
      default: 'performance_aware',
      about:
        'What of the layers unlike devices get: the same part each, one by their free memory, or one by their speed. Devices that share a layer have equal parts of it.',
      live: true,
    },
  ),
  'multiGpu.pipelineParallel.size': setting(sizeOrAuto, {
    key: 'multi_gpu.pipeline_parallel.size',
    allowed: 'a whole number from 1, or auto',
    default: 'auto',
    about: 'Stages of layers, with the strategies `pipeline` and `hybrid`.',
    live: true,
    ollama: { name: 'OLLAMA_PIPELINE_PARALLEL_SIZE', strict: true },
  }),
  'multiGpu.pipelineParallel.microBatchSize': setting(sizeOrAuto, {
    key: 'multi_gpu.pipeline_parallel.micro_batch_size',
    allowed: 'a whole number from 1, or auto',
    default: 'auto',
    about:
      'Slots of an instance for each of the `size` stages, so that all of them have work; `numParallel` counts before it.',
    live: true,
  }),
  'multiGpu.pipelineParallel.overlapCommunication': setting(flag, {
    key: 'multi_gpu.pipeline_parallel.overlap_communication',
    allowed: 'true or false',
    default: 'true',
    about:
      'Whether stages compute while they hand over. If not, plans count the hand-over as time in which nothing is done.',
    live: true,
  }),
  'multiGpu.dataParallel.replicas': setting(sizeOrAuto, {
    key: 'multi_gpu.data_parallel.replicas',
    allowed: 'a whole number from 1, or auto',
    default: 'auto',
    about:
      'Instances of a model, with the strategies `data` and `hybrid`. As many as there is room for if `auto`.',
    live: true,
  }),
  'multiGpu.dataParallel.loadBalancing': setting(
    orAuto(z.enum(['round_robin', 'least_loaded', 'performance_aware'])),
    {
      key: 'multi_gpu.data_parallel.load_balancing',
      allowed: 'auto, round_robin, least_loaded or performance_aware',
      default: 'auto',
      about: 'How requests are spread over the instances: the same as `policy`, which is not set beside it.',
      live: true,
    },
  ),
  'multiGpu.crossVendor.enabled': setting(flag, {
    key: 'multi_gpu.cross_vendor.enabled',
    allowed: 'true or false',
    default: 'true',
    about: 'Whether one instance may take GPUs of several vendors.',
    live: true,
  }),
  'multiGpu.crossVendor.cudaGpus': setting(gpuNumbers.optional(), {
    key: 'multi_gpu.cross_vendor.cuda_gpus',
    allowed: gpuForms,
    about: "The GPUs of NVIDIA's that models run on. All of them if absent.",
    live: true,
    ollama: { name: 'OLLAMA_CUDA_GPUS', strict: true, read: readGpus },
  }),
  'multiGpu.crossVendor.rocmGpus': setting(gpuNumbers.optional(), {
    key: 'multi_gpu.cross_vendor.rocm_gpus',
    allowed: gpuForms,
    about: "The GPUs of AMD's that models run on. All of them if absent.",
    live: true,
    ollama: { name: 'OLLAMA_ROCM_GPUS', strict: true, read: readGpus },
  }),
  'multiGpu.crossVendor.intelGpus': setting(gpuNumbers.optional(), {
    key: 'multi_gpu.cross_vendor.intel_gpus',
    allowed: gpuForms,
    about: "The GPUs of Intel's that models run on. All of them if absent.",
    live: true,
    ollama: { name: 'OLLAMA_INTEL_GPUS', strict: true, read: readGpus },
  }),
  'multiGpu.crossVendor.coordinationOverhead': setting(ratio.pipe(z.number().max(10)), {
    key: 'multi_gpu.cross_vendor.coordination_overhead',
    allowed: 'a number from 0 to 10',
    default: '0.1',
    about: 'Time that a token takes longer, as a share, in an instance on GPUs of several vendors.',
    live: true,
  }),
  'multiGpu.scheduling.algorithm': setting(
    orAuto(z.enum(['memory_only', 'performance_aware', 'power_aware'])),
    {
      key: 'multi_gpu.scheduling.algorithm',
      allowed: 'auto, memory_only, performance_aware or power_aware',
      default: 'auto',
      about:
        'Which plan is the best: the one on the fewest devices, the fastest, or the one that takes the least energy. By `metrics` if `auto`.',
      live: true,
    },
  ),
  'multiGpu.scheduling.metrics': setting(list.pipe(z.array(z.enum(metrics)).min(1)), {
    key: 'multi_gpu.scheduling.metrics',
    allowed: 'a list of latency, throughput, memory and power',
    default: 'latency,throughput,memory,power',
    about:
      'What plans are to be good at, the most important first. `memory` in the first place means the fewest devices, `power` the least energy; the first of `latency` and `throughput` says whether one answer or all together are to be fast.',
    live: true,
  }),
  'multiGpu.scheduling.migration.enabled': setting(flag, {
    key: 'multi_gpu.scheduling.migration.enabled',
    allowed: 'true or false',
    default: 'true',
    about: 'Whether instances are moved by themselves when load or devices change.',
    live: true,
    ollama: { name: 'OLLAMA_AUTO_MIGRATION', strict: true, read: readFlag },
  }),
  'multiGpu.scheduling.migration.threshold': setting(ratio.pipe(z.number().max(1)), {
    key: 'multi_gpu.scheduling.migration.threshold',
    allowed: 'a number from 0 to 1',
    default: '0.8',
    about: 'The load of a device, as a share of what it can, from which on something is moved away from it.',
    live: true,
  }),
  'multiGpu.scheduling.migration.cooldownMs': setting(duration.pipe(z.number().min(0)), {
    key: 'multi_gpu.scheduling.migration.cooldown',
    allowed: durationForms,
    default: '30s',
    about: 'The least time between two moves.',
    live: true,
  }),
  'multiGpu.memory.pooling': setting(flag, {
    key: 'multi_gpu.memory.pooling',
    allowed: 'true or false',
    default: 'true',
    about:
      'Whether the memory of several devices counts as one for a model. If not, a model that fits none is refused.',
    live: true,
    ollama: { name: 'OLLAMA_GPU_MEMORY_POOL', strict: true, read: readFlag },
  }),
  'multiGpu.memory.defragmentation': setting(flag, {
    key: 'multi_gpu.memory.defragmentation',
    allowed: 'true or false',
    default: 'false',
    about:
      "Whether a model that finds no room on any device has another one moved for it, where that one fits elsewhere, in place of unloading it; and whether engines on PyTorch (vLLM, SGLang, ExLlama) take memory in segments that grow, so that it does not break into pieces (llama.cpp's does not).",
    live: true,
  }),
  'multiGpu.memory.crossGpuSharing': setting(orAuto(flag), {
    key: 'multi_gpu.memory.cross_gpu_sharing',
    allowed: 'true, false or auto',
    default: 'auto',
    about:
      "Whether GPUs read each other's memory directly, where they can. As the engine does by itself if `auto`.",
    live: true,
  }),
  'multiGpu.memory.kvCacheDistribution': setting(z.enum(['by_layer', 'balanced']), {
    key: 'multi_gpu.memory.kv_cache_distribution',
    allowed: 'by_layer or balanced',
    default: 'by_layer',
    about:
      'Where the KV cache lies: with its layers, however they are divided, or the same part of it on every device of an instance.',
    live: true,
    ollama: { name: 'OLLAMA_KV_CACHE_DISTRIBUTION', strict: true, read: readLower },
  }),
  'multiGpu.monitoring.enabled': setting(flag, {
    key: 'multi_gpu.monitoring.enabled',
    allowed: 'true or false',
    default: 'true',
    about: 'Whether any of the next three is done.',
    live: true,
  }),
  'multiGpu.monitoring.metricsCollection': setting(flag, {
    key: 'multi_gpu.monitoring.metrics_collection',
    allowed: 'true or false',
    default: 'true',
    about:
      'Whether `GET /api/multigpu/performance` tells the load, memory, power and temperature of each GPU.',
    live: true,
  }),
  'multiGpu.monitoring.performanceProfiling': setting(flag, {
    key: 'multi_gpu.monitoring.performance_profiling',
    allowed: 'true or false',
    default: 'true',
    about: 'Whether it tells throughput and latency.',
    live: true,
  }),
  'multiGpu.monitoring.autoOptimization': setting(flag, {
    key: 'multi_gpu.monitoring.auto_optimization',
    allowed: 'true or false',
    default: 'true',
    about: 'Whether models are loaded ahead of the times at which they are usually asked for.',
    live: true,
  }),
}
