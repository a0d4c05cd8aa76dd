import type { MultiGpu } from '../config/index.ts'
import type { Vendor } from '../hardware/index.ts'
import type { Inventory, PlanDevice, PlanWishes } from './contract.ts'

/** What the section `multi_gpu` asks of a plan. */
export interface ConfiguredWishes {
  wishes: PlanWishes
  /** What of it cannot be, a sentence each: GPUs that are not there, or of another vendor. */
  problems: readonly string[]
}

/**
 * What the section `multi_gpu` asks of the planner. GPUs are numbered in the inventory's order, as `drover gpus` does.
 * Sizes count with the strategies that have them: `tensor_parallel.size` with `tensor` and `hybrid`, and so on.
 */
export function wishesFrom(multiGpu: MultiGpu, inventory: Pick<Inventory, 'devices'>): ConfiguredWishes {
  const { crossVendor, memory, scheduling, tensorParallel, pipelineParallel } = multiGpu
  const { avoid, problems } = unlistedGpus(multiGpu, inventory.devices)
  const vendor = vendorOf(tensorParallel.communication)
  const objective = scheduling.metrics.find((metric) => metric === 'latency' || metric === 'throughput')
  const engines = Object.values(multiGpu.backends).filter((name) => name !== undefined)
  return {
    problems,
    wishes: {
      ...strategyOf(multiGpu),
      ...(engines.length > 0 && { engines }),
      ...(avoid.length > 0 && { avoid }),
      crossVendor: crossVendor.enabled,
      coordinationOverhead: crossVendor.coordinationOverhead,
      algorithm: scheduling.algorithm ?? algorithmFor(scheduling.metrics[0]),
      ...(objective && { objective }),
      division: tensorParallel.splitStrategy,
      ...(vendor && { tensorVendor: vendor }),
      kvCacheDistribution: memory.kvCacheDistribution,
      overlapCommunication: pipelineParallel.overlapCommunication,
      ...(pipelineParallel.microBatchSize !== undefined && {
        microBatchSize: pipelineParallel.microBatchSize,
      }),
    },
  }
}

function algorithmFor(
  first: MultiGpu['scheduling']['metrics'][number] | undefined,
): PlanWishes['algorithm'] & string {
  if (first === 'memory') return 'memory_only'
  return first === 'power' ? 'power_aware' : 'performance_aware'
}

/** One device for each instance where several are not allowed, or their memory may not be added up. */
function strategyOf({
  enabled,
  strategy,
  tensorParallel,
  pipelineParallel,
  dataParallel,
  memory,
}: MultiGpu): PlanWishes {
  const { replicas } = dataParallel
  if (!enabled || !memory.pooling) {
    const many = strategy === 'data' || (replicas ?? 1) > 1
    return many ? { strategy: 'data', ...(replicas !== undefined && { replicas }) } : { strategy: 'single' }
  }
  const takes = (...strategies: (typeof strategy)[]) => strategies.includes(strategy)
  return {
    ...(strategy && { strategy }),
    ...(takes(undefined, 'tensor', 'hybrid') &&
      tensorParallel.size !== undefined && { tensorSize: tensorParallel.size }),
    ...(takes(undefined, 'pipeline', 'hybrid') &&
      pipelineParallel.size !== undefined && { pipelineSize: pipelineParallel.size }),
    ...(takes(undefined, 'data', 'hybrid') && replicas !== undefined && { replicas }),
  }
}

function vendorOf(communication: MultiGpu['tensorParallel']['communication']): Vendor | undefined {
  if (communication === 'nccl') return 'nvidia'
  return communication === 'rccl' ? 'amd' : undefined
}

/**
 * Of each vendor with a list in `cross_vendor` the GPUs that are not in it, by id; and what is wrong with the lists. GPUs
 * are numbered in their order here.
 */
export function unlistedGpus(
  { crossVendor: { cudaGpus, rocmGpus, intelGpus } }: Pick<MultiGpu, 'crossVendor'>,
  devices: readonly Pick<PlanDevice, 'id' | 'vendor' | 'name'>[],
): { avoid: string[]; problems: string[] } {
  const lists = [
    { key: 'cuda_gpus', vendor: 'nvidia', numbers: cudaGpus },
    { key: 'rocm_gpus', vendor: 'amd', numbers: rocmGpus },
    { key: 'intel_gpus', vendor: 'intel', numbers: intelGpus },
  ] as const
  const avoid: string[] = []
  const problems: string[] = []
  for (const { key, vendor, numbers } of lists) {
    if (!numbers) continue
    const wrong = numbers.filter((number) => devices[number]?.vendor !== vendor)
    for (const number of wrong) {
      const found = devices[number]
      const what = found ? `GPU ${number} is ${found.vendor}'s ${found.name}` : `there is no GPU ${number}`
      problems.push(`multi_gpu.cross_vendor.${key}: ${what}; \`drover gpus\` shows their numbers`)
    }
    avoid.push(
      ...devices
        .filter((device, at) => device.vendor === vendor && !numbers.includes(at))
        .map(({ id }) => id),
    )
  }
  return { avoid, problems }
}

/** PyTorch's allocator, as its notes on CUDA semantics name it. */
const growing = 'expandable_segments:True'

/**
 * Variables for engine processes: how they add up tensors and whether they read each other's memory. llama.cpp reads
 * those of `GGML_CUDA_` (its HIP build too), NCCL and RCCL, on which vLLM and SGLang stand, those of `NCCL_`, and PyTorch,
 * on which those and ExLlama stand, its own.
 */
export function engineEnvironment({ tensorParallel, memory }: MultiGpu): Record<string, string> {
  const reduce = { nccl: 'nccl', rccl: 'nccl', gloo: 'none' } as const
  const { communication } = tensorParallel
  return {
    ...(communication && { GGML_CUDA_ALLREDUCE: reduce[communication] }),
    ...(memory.defragmentation && { PYTORCH_CUDA_ALLOC_CONF: growing, PYTORCH_HIP_ALLOC_CONF: growing }),
    ...(memory.crossGpuSharing === true && { GGML_CUDA_P2P: '1' }),
    ...(memory.crossGpuSharing === false && { NCCL_P2P_DISABLE: '1' }),
  }
}
