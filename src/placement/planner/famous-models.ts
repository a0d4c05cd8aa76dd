import { type LayerShape, tensorBytes } from '../../models/index.ts'
import type { PlanModel } from '../contract.ts'

/** A model by the numbers of its public `config.json`. */
interface Config {
  /** As GGUF names it. */
  architecture: string
  layers: number
  hidden: number
  feedForward: number
  heads: number
  headsKv: number
  headLength: number
  vocabulary: number
  contextLength: number
  /** Input and output share one matrix. */
  tied?: boolean
  /** Layers with a window: all but each `every`-th. */
  window?: { tokens: number; every: number }
  experts?: {
    count: number
    used: number
    width: number
    /** Every token's, of the same width. */
    shared?: number
    /** Layers at the beginning that have none. */
    denseLayers?: number
  }
  /** Latent attention: widths of the compressed queries and of the cached keys and values, and of a head's two parts. */
  latent?: { query: number; cached: number; rotated: number; plain: number; value: number }
}

const llama = {
  architecture: 'llama',
  headLength: 128,
  headsKv: 8,
  vocabulary: 128_256,
  contextLength: 131_072,
}
const qwen = {
  architecture: 'qwen3',
  headLength: 128,
  headsKv: 8,
  vocabulary: 151_936,
  contextLength: 40_960,
}
const qwenExperts = { ...qwen, architecture: 'qwen3moe', headsKv: 4 }
const gptOss = {
  architecture: 'gpt-oss',
  hidden: 2880,
  feedForward: 2880,
  heads: 64,
  headsKv: 8,
  headLength: 64,
  vocabulary: 201_088,
  contextLength: 131_072,
  window: { tokens: 128, every: 2 },
}

const configs = {
  'llama3.1:8b': { ...llama, layers: 32, hidden: 4096, feedForward: 14_336, heads: 32 },
  'llama3.1:70b': { ...llama, layers: 80, hidden: 8192, feedForward: 28_672, heads: 64 },
  'llama3.1:405b': { ...llama, layers: 126, hidden: 16_384, feedForward: 53_248, heads: 128 },
  'qwen3:0.6b': { ...qwen, layers: 28, hidden: 1024, feedForward: 3072, heads: 16, tied: true },
  'qwen3:1.7b': { ...qwen, layers: 28, hidden: 2048, feedForward: 6144, heads: 16, tied: true },
  'qwen3:4b': { ...qwen, layers: 36, hidden: 2560, feedForward: 9728, heads: 32, tied: true },
  'qwen3:8b': { ...qwen, layers: 36, hidden: 4096, feedForward: 12_288, heads: 32 },
  'qwen3:14b': { ...qwen, layers: 40, hidden: 5120, feedForward: 17_408, heads: 40 },
  'qwen3:32b': { ...qwen, layers: 64, hidden: 5120, feedForward: 25_600, heads: 64 },
  'qwen3:30b-a3b': {
    ...qwenExperts,
    layers: 48,
    hidden: 2048,
    feedForward: 6144,
    heads: 32,
    experts: { count: 128, used: 8, width: 768 },
  },
  'qwen3:235b-a22b': {
    ...qwenExperts,
    layers: 94,
    hidden: 4096,
    feedForward: 12_288,
    heads: 64,
    experts: { count: 128, used: 8, width: 1536 },
  },
  'gpt-oss:20b': { ...gptOss, layers: 24, experts: { count: 32, used: 4, width: 2880 } },
  'gpt-oss:120b': { ...gptOss, layers: 36, experts: { count: 128, used: 4, width: 2880 } },
  'deepseek-r1:671b': {
    architecture: 'deepseek2',
    layers: 61,
    hidden: 7168,
    feedForward: 18_432,
    heads: 128,
    headsKv: 1,
    headLength: 576,
    vocabulary: 129_280,
    contextLength: 163_840,
    experts: { count: 256, used: 8, width: 2048, shared: 1, denseLayers: 3 },
    latent: { query: 1536, cached: 512, rotated: 64, plain: 128, value: 128 },
  },
  'gemma3:27b': {
    architecture: 'gemma3',
    layers: 62,
    hidden: 5376,
    feedForward: 21_504,
    heads: 32,
    headsKv: 16,
    headLength: 128,
    vocabulary: 262_208,
    contextLength: 131_072,
    tied: true,
    window: { tokens: 1024, every: 6 },
  },
  'mixtral:8x7b': {
    ...llama,
    layers: 32,
    hidden: 4096,
    feedForward: 14_336,
    heads: 32,
    vocabulary: 32_000,
    contextLength: 32_768,
    experts: { count: 8, used: 2, width: 14_336 },
  },
} as const satisfies Record<string, Config>

export type FamousName = keyof typeof configs

export const famousNames = Object.keys(configs) as readonly FamousName[]

/** Types of a file's matrices; `most`: those that Q4_K_M keeps finer in half of the layers. */
const fileTypes: Readonly<
  Record<string, { usual: string; finer: string; output: string; experts?: string }>
> = {
  F16: { usual: 'F16', finer: 'F16', output: 'F16' },
  BF16: { usual: 'BF16', finer: 'BF16', output: 'BF16' },
  FP8: { usual: 'I8', finer: 'I8', output: 'BF16' },
  Q8_0: { usual: 'Q8_0', finer: 'Q8_0', output: 'Q8_0' },
  Q6_K: { usual: 'Q6_K', finer: 'Q6_K', output: 'Q6_K' },
  Q5_K_M: { usual: 'Q5_K', finer: 'Q6_K', output: 'Q6_K' },
  Q4_K_M: { usual: 'Q4_K', finer: 'Q6_K', output: 'Q6_K' },
  Q3_K_M: { usual: 'Q3_K', finer: 'Q4_K', output: 'Q6_K' },
  Q2_K: { usual: 'Q2_K', finer: 'Q3_K', output: 'Q6_K' },
  MXFP4: { usual: 'Q8_0', finer: 'Q8_0', output: 'Q8_0', experts: 'MXFP4' },
}

/**
 * A well-known model as a file of type `fileType` (`Q4_K_M`, `F16`, `FP8`, ...) has it: shapes from its public
 * configuration, bytes from the types that llama.cpp gives each matrix. Throws `RangeError` for another file type.
 */
export function famousModel(name: FamousName, fileType = 'Q4_K_M'): PlanModel {
  const types = fileTypes[fileType]
  if (!types)
    throw new RangeError(`unknown file type "${fileType}": take ${Object.keys(fileTypes).join(', ')}`)
  const config: Config = configs[name]
  const layers = Array.from({ length: config.layers }, (_, layer) => layerOf(config, types, layer))
  const matrix = config.hidden * config.vocabulary
  const inputBytes = bytesOf(types.usual === 'Q8_0' ? types.output : types.usual, matrix)
  const outputBytes = config.tied ? config.hidden * 4 : bytesOf(types.output, matrix)
  const layerBytes = layers.map(({ bytes }) => bytes)
  const parameters = layers.reduce((sum, layer) => sum + layer.parameters, matrix * (config.tied ? 1 : 2))
  return {
    name,
    format: fileType === 'FP8' || fileType === 'BF16' ? 'safetensors' : 'gguf',
    fileType: fileType.startsWith('FP8') ? 'fp8' : fileType,
    shape: {
      architecture: config.architecture,
      parameterCount: parameters,
      layerCount: config.layers,
      contextLength: config.contextLength,
      embeddingLength: config.hidden,
      feedForwardLength: config.experts?.width ?? config.feedForward,
      headCount: config.heads,
      headCountKv: new Array<number>(config.layers).fill(config.headsKv),
      keyLength: config.headLength,
      valueLength: config.latent?.cached ?? config.headLength,
      vocabularySize: config.vocabulary,
      weightBytes: layerBytes.reduce((sum, bytes) => sum + bytes, inputBytes + outputBytes),
      layerBytes,
      inputBytes,
      outputBytes,
      layers,
      ...(config.tied && { tiedEmbeddings: true }),
      ...(config.window && slidingOf(config.window, config.layers)),
      ...(config.experts && { expertCount: config.experts.count, expertUsedCount: config.experts.used }),
    },
  }
}

function slidingOf({ tokens, every }: { tokens: number; every: number }, layers: number) {
  const slidingLayers = Array.from({ length: layers }, (_, layer) => (layer + 1) % every !== 0)
  return { slidingWindow: tokens, slidingLayers }
}

function layerOf(config: Config, types: (typeof fileTypes)[string], layer: number): LayerShape {
  const finer = moreBits(layer, config.layers) ? types?.finer : types?.usual
  const usual = types?.usual ?? 'F16'
  const attention = attentionOf(config)
  const { experts, hidden } = config
  const sparse = experts !== undefined && layer >= (experts.denseLayers ?? 0)
  const width = sparse ? experts.width * (experts.shared ?? 0) : config.feedForward
  const own =
    bytesOf(usual, attention.usual + 2 * hidden * width) +
    bytesOf(finer ?? usual, attention.finer + hidden * width)
  const each = sparse ? hidden * experts.width * experts.count : 0
  const expertType = types?.experts
  const expertBytes = bytesOf(expertType ?? usual, 2 * each) + bytesOf(expertType ?? finer ?? usual, each)
  const router = sparse ? hidden * experts.count : 0
  const norms = 2 * hidden
  return {
    bytes: own + expertBytes + 4 * (router + norms),
    expertBytes,
    parameters: attention.usual + attention.finer + 3 * hidden * width + 3 * each + router + norms,
    expertParameters: 3 * each,
    feedForwardLength: sparse ? experts.width : config.feedForward,
    expertCount: sparse ? experts.count : 0,
  }
}

/** Numbers of a layer's attention; `finer`: the values' matrix, which Q4_K_M keeps finer. */
function attentionOf({ hidden, heads, headsKv, headLength, latent }: Config): {
  usual: number
  finer: number
} {
  if (!latent) {
    const keys = hidden * headsKv * headLength
    return { usual: 2 * hidden * heads * headLength + keys, finer: keys }
  }
  const queries = hidden * latent.query + latent.query * heads * (latent.plain + latent.rotated)
  const cached =
    hidden * (latent.cached + latent.rotated) + latent.cached * heads * (latent.plain + latent.value)
  return { usual: queries + cached + heads * latent.value * hidden, finer: 0 }
}

/** Layers in which llama.cpp's `_M` types keep values and downward matrices finer: the ends, and each third between. */
function moreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8)
  return layer < eighth || layer >= 7 * eighth || (layer - eighth) % 3 === 2
}

function bytesOf(type: string, numbers: number): number {
  return tensorBytes(type, numbers) ?? numbers
}
