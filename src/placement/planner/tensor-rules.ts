import type { EngineName } from '../../engines/index.ts'
import type { PlanDevice, PlanModel, PlanWishes } from '../contract.ts'

/** Architectures (as GGUF names them) that llama.cpp does not split by tensors. */
const layerSplitOnly = new Set([
  'grok',
  'mpt',
  'olmoe',
  'deepseek2',
  'glm-dsa',
  'nemotron_h',
  'nemotron_h_moe',
  'granitehybrid',
  'lfm2moe',
  'minimax-m2',
  'mistral4',
  'kimi-linear',
  'jamba',
  'falcon-h1',
  'mamba',
  'mamba2',
  'plamo2',
  'minicpm3',
  'gemma3n',
  'olmo2',
  'bitnet',
  't5',
  't5encoder',
])

const mostTensorDevices = 16
const wholeKvTypes = new Set(['f16', 'bf16', 'f32'])

/** Weights that share a scale: a split must not cut through them. */
function quantGroup({ format, fileType }: PlanModel): number {
  const type = fileType.toUpperCase()
  if (format === 'gguf') {
    if (/^(F|BF)/.test(type)) return 1
    return /^(Q[458]_[01]|IQ4_NL|MXFP4)/.test(type) ? 32 : 256
  }
  return /AWQ|GPTQ|INT4|W4|FP8/.test(type) ? 128 : 1
}

/** Why a model cannot be split by tensors over devices with an engine; undefined where it can. */
export function tensorObstacle(
  model: PlanModel,
  engine: EngineName,
  devices: readonly PlanDevice[],
  wishes: PlanWishes,
): string | undefined {
  const count = devices.length
  const backends = new Set(devices.map(({ backend }) => backend))
  if (backends.size > 1)
    return `a tensor split takes devices of one backend, not ${[...backends].join(' and ')}`
  const { tensorVendor } = wishes
  if (tensorVendor !== undefined && devices.some(({ vendor }) => vendor !== tensorVendor))
    return `the parts of a tensor are to be added up as ${tensorVendor}'s GPUs do it, and these are others`
  if (engine === 'llama.cpp') {
    const obstacle = llamaObstacle(model, count, wishes)
    if (obstacle !== undefined) return obstacle
  }
  return indivisible(model, engine, count)
}

function llamaObstacle({ shape }: PlanModel, count: number, wishes: PlanWishes): string | undefined {
  if (layerSplitOnly.has(shape.architecture))
    return `llama.cpp does not split ${shape.architecture} by tensors`
  if (count > mostTensorDevices) return `llama.cpp splits tensors over ${mostTensorDevices} devices at most`
  if (wishes.flashAttention === 'off') return 'a tensor split needs flash attention, which is off'
  const { kvCacheType = 'f16' } = wishes
  if (!wholeKvTypes.has(kvCacheType)) return `a tensor split needs a KV cache of f16, not ${kvCacheType}`
  return undefined
}

function indivisible(model: PlanModel, engine: EngineName, count: number): string | undefined {
  const { shape } = model
  const keysOf = Math.max(0, ...shape.headCountKv)
  if (shape.headCount % count !== 0) return `${shape.headCount} heads do not divide by ${count}`
  const replicated = engine !== 'llama.cpp' && keysOf > 0 && count % keysOf === 0
  if (keysOf % count !== 0 && !replicated) return `${keysOf} KV heads do not divide by ${count}`
  if (shape.embeddingLength % count !== 0)
    return `a width of ${shape.embeddingLength} does not divide by ${count}`
  const group = quantGroup(model)
  const width = shape.feedForwardLength
  if (width % count !== 0 || (width / count) % group !== 0) {
    const parts = group > 1 ? ` in groups of ${group}` : ''
    return `a feed-forward width of ${width} does not divide by ${count}${parts}`
  }
  return undefined
}
