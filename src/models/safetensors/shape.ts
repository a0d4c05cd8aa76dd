import { z } from 'zod'
import type { LayerShape, ModelShape } from '../contract.ts'

/*
 * The shape of a model in Hugging Face's layout, from its `config.json` and, for the sizes, the headers of its
 * safetensors files or at least their sum. Without either, sizes follow from the numbers of the configuration.
 */

const count = z
  .number()
  .int()
  .nonnegative()
  .max(2 ** 40)
const optional = count.nullish()

/** The keys of `config.json` that memory and speed follow from; models with vision keep them in `text_config`. */
const configSchema = z.object({
  model_type: z.string().min(1),
  hidden_size: count,
  num_hidden_layers: count.max(10_000),
  num_attention_heads: count,
  num_key_value_heads: optional,
  head_dim: optional,
  intermediate_size: optional,
  vocab_size: count,
  max_position_embeddings: optional,
  sliding_window: optional,
  use_sliding_window: z.boolean().nullish(),
  layer_types: z.array(z.string()).nullish(),
  num_local_experts: optional,
  num_experts: optional,
  n_routed_experts: optional,
  n_shared_experts: optional,
  num_experts_per_tok: optional,
  moe_intermediate_size: optional,
  first_k_dense_replace: optional,
  kv_lora_rank: optional,
  qk_rope_head_dim: optional,
  tie_word_embeddings: z.boolean().nullish(),
  torch_dtype: z.string().nullish(),
  dtype: z.string().nullish(),
  quantization_config: z
    .object({ quant_method: z.string().nullish(), bits: z.number().positive().max(32).nullish() })
    .nullish(),
})

type HuggingFaceConfig = z.infer<typeof configSchema>

/** A tensor as a safetensors header tells it. */
export interface SafetensorsTensor {
  name: string
  /** `BF16`, `F8_E4M3`, `I32`. */
  dtype: string
  shape: readonly number[]
  bytes: number
}

/** What is known of the files beside the configuration. */
export interface SafetensorsSizes {
  tensors?: readonly SafetensorsTensor[]
  /** Of all files together: `metadata.total_size` of the index. */
  totalBytes?: number
}

/** Shape and kind of a model's weights. */
export interface SafetensorsModel {
  shape: ModelShape
  /** `BF16`, `fp8`, `awq 4 bit`. */
  fileType: string
}

/** Reads a model's shape. Throws `Error` saying what is wrong with the configuration. */
export function safetensorsModel(config: unknown, sizes: SafetensorsSizes = {}): SafetensorsModel {
  const read = readConfig(config)
  const bits = bitsOf(read)
  const layers = sizes.tensors ? layersOfTensors(read, sizes.tensors) : layersOfConfig(read, bits.weights)
  const ends = sizes.tensors ? endsOfTensors(sizes.tensors) : endsOfConfig(read, bits.ends)
  const inLayers = layers.reduce((sum, { bytes }) => sum + bytes, 0)
  const told = sizes.tensors?.reduce((sum, { bytes }) => sum + bytes, 0) ?? sizes.totalBytes
  // Where only the sum is known, layers share what embedding and head leave of it.
  const factor =
    !sizes.tensors && told !== undefined && inLayers > 0
      ? Math.max(0, told - ends.input - ends.output) / inLayers
      : 1
  const scaled = layers.map((layer) => ({
    ...layer,
    bytes: Math.round(layer.bytes * factor),
    expertBytes: Math.round(layer.expertBytes * factor),
  }))
  const weightBytes = told ?? Math.ceil(inLayers + ends.input + ends.output)
  return { shape: shapeOf(read, scaled, ends, weightBytes), fileType: bits.name }
}

function readConfig(config: unknown): HuggingFaceConfig {
  const outer = typeof config === 'object' && config !== null ? (config as Record<string, unknown>) : {}
  const inner = outer['text_config']
  const merged = typeof inner === 'object' && inner !== null ? { ...outer, ...inner } : outer
  const parsed = configSchema.safeParse(merged)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new Error(`its config.json cannot be used: ${issue?.path.join('.') || 'content'}: ${issue?.message}`)
}

function shapeOf(
  config: HuggingFaceConfig,
  layers: LayerShape[],
  ends: { input: number; output: number; parameters: number },
  weightBytes: number,
): ModelShape {
  const { num_hidden_layers: layerCount, num_attention_heads: headCount } = config
  const latent = config.kv_lora_rank || undefined
  const headLength = config.head_dim ?? (headCount > 0 ? Math.ceil(config.hidden_size / headCount) : 0)
  const headsKv = latent === undefined ? (config.num_key_value_heads ?? headCount) : 1
  const sliding = slidingLayers(config)
  const experts = expertsOf(config)
  return {
    architecture: config.model_type,
    parameterCount: layers.reduce((sum, { parameters }) => sum + parameters, ends.parameters),
    layerCount,
    contextLength: config.max_position_embeddings ?? 0,
    embeddingLength: config.hidden_size,
    feedForwardLength: config.intermediate_size ?? config.moe_intermediate_size ?? 0,
    headCount,
    headCountKv: new Array<number>(layerCount).fill(headsKv),
    keyLength: latent === undefined ? headLength : latent + (config.qk_rope_head_dim ?? 0),
    valueLength: latent === undefined ? headLength : 0,
    vocabularySize: config.vocab_size,
    weightBytes,
    layerBytes: layers.map(({ bytes }) => bytes),
    inputBytes: ends.input,
    outputBytes: ends.output,
    layers,
    ...(sliding && { slidingWindow: config.sliding_window ?? 0, slidingLayers: sliding }),
    ...(experts > 0 && { expertCount: experts, expertUsedCount: config.num_experts_per_tok ?? 1 }),
    ...(config.tie_word_embeddings && { tiedEmbeddings: true }),
  }
}

function slidingLayers(config: HuggingFaceConfig): boolean[] | undefined {
  if (!config.sliding_window || config.use_sliding_window === false) return undefined
  const { layer_types: types, num_hidden_layers: count } = config
  // Without a list of types nothing is taken to be saved memory.
  if (types?.length !== count) return undefined
  return types.map((type) => type === 'sliding_attention')
}

const expertsOf = (config: HuggingFaceConfig): number =>
  config.num_local_experts ?? config.num_experts ?? config.n_routed_experts ?? 0

const bitsByType: Readonly<Record<string, number>> = {
  float32: 32,
  float16: 16,
  bfloat16: 16,
  float8_e4m3fn: 8,
}
const shortNames: Readonly<Record<string, string>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' }
/** What scales and zero points add to a quantised weight, in groups of 128. */
const groupBits = 0.25

/** Bits of a layer's weights and of embedding and head, which stay as they were when layers are quantised. */
function bitsOf(config: HuggingFaceConfig): { weights: number; ends: number; name: string } {
  const type = config.dtype ?? config.torch_dtype ?? 'bfloat16'
  const ends = bitsByType[type] ?? 16
  const { quant_method: method, bits } = config.quantization_config ?? {}
  if (!method) return { weights: ends, ends, name: shortNames[type] ?? type }
  if (method === 'fp8') return { weights: 8, ends, name: 'fp8' }
  const weights = bits ?? 4
  return { weights: weights < 8 ? weights + groupBits : weights, ends, name: `${method} ${weights} bit` }
}

function layersOfConfig(config: HuggingFaceConfig, bits: number): LayerShape[] {
  const { hidden_size: width, num_attention_heads: heads } = config
  const headLength = config.head_dim ?? (heads > 0 ? width / heads : 0)
  const headsKv = config.num_key_value_heads ?? heads
  const attention = 2 * width * headLength * (heads + headsKv)
  const experts = expertsOf(config)
  const dense = config.intermediate_size ?? 0
  const ofExpert = config.moe_intermediate_size ?? dense
  return Array.from({ length: config.num_hidden_layers }, (_, layer) => {
    const isDense = experts === 0 || layer < (config.first_k_dense_replace ?? 0)
    const expertParameters = isDense ? 0 : 3 * width * ofExpert * experts
    const shared = 3 * width * (isDense ? dense : ofExpert * (config.n_shared_experts ?? 0))
    const parameters = Math.round(attention + expertParameters + shared + 2 * width)
    return {
      bytes: (parameters * bits) / 8,
      expertBytes: (expertParameters * bits) / 8,
      parameters,
      expertParameters,
      feedForwardLength: isDense ? dense : ofExpert,
      expertCount: isDense ? 0 : experts,
    }
  })
}

function endsOfConfig(config: HuggingFaceConfig, bits: number) {
  const matrix = config.vocab_size * config.hidden_size
  const output = (config.tie_word_embeddings ? 0 : matrix) + config.hidden_size
  return {
    input: Math.ceil((matrix * bits) / 8),
    output: Math.ceil((output * bits) / 8),
    parameters: matrix + output,
  }
}

const layerName = /\blayers\.(\d+)\./
const routedExpert = /\.experts\.|\.experts_/
const packed = /\.(qweight|weight_packed)$/
/** Of these no weight is a number of the model. */
const helpers = /\.(scales|qzeros|g_idx|weight_scale|weight_scale_inv|input_scale|weight_shape)$/

function layersOfTensors(config: HuggingFaceConfig, tensors: readonly SafetensorsTensor[]): LayerShape[] {
  const layers = layersOfConfig(config, 0).map((layer) => ({ ...layer, bytes: 0, expertBytes: 0 }))
  const counted = layers.map(() => ({ parameters: 0, expertParameters: 0 }))
  const bits = config.quantization_config?.bits ?? 4
  for (const tensor of tensors) {
    const index = Number(layerName.exec(tensor.name)?.[1] ?? Number.NaN)
    const [layer, sum] = [layers[index], counted[index]]
    if (!layer || !sum) continue
    const numbers = parametersOf(tensor, bits)
    layer.bytes += tensor.bytes
    sum.parameters += numbers
    if (!routedExpert.test(tensor.name)) continue
    layer.expertBytes += tensor.bytes
    sum.expertParameters += numbers
  }
  return layers.map((layer, index) => ({ ...layer, ...counted[index] }))
}

function parametersOf({ name, shape }: SafetensorsTensor, bits: number): number {
  if (helpers.test(name)) return 0
  const numbers = shape.reduce((product, length) => product * length, 1)
  return packed.test(name) ? Math.round((numbers * 32) / bits) : numbers
}

function endsOfTensors(tensors: readonly SafetensorsTensor[]) {
  const outside = tensors.filter(({ name }) => !layerName.test(name))
  const inputs = outside.filter(({ name }) => /embed_tokens|\bwte\b|word_embeddings/.test(name))
  const outputs = outside.filter(({ name }) => /\blm_head\b|(^|\.)norm\.|embed_out/.test(name))
  const bytes = (list: readonly SafetensorsTensor[]) => list.reduce((sum, tensor) => sum + tensor.bytes, 0)
  const parameters = outside.reduce((sum, tensor) => sum + parametersOf(tensor, 16), 0)
  return { input: bytes(inputs), output: bytes(outputs), parameters }
}
