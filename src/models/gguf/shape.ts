import type { ModelShape } from '../contract.ts'
import type { Metadata, TensorFacts } from './facts.ts'
import { layersOf, wiringOf } from './layers.ts'

/**
 * Every n-th layer attends to the whole context, the others to a window, in architectures whose files do not say
 * so themselves (llama.cpp's `set_swa_pattern` calls). Not listed: no layer is taken to be saved memory.
 */
const fullAttentionEvery: Record<string, number> = {
  cohere2: 4,
  exaone4: 4,
  gemma2: 2,
  gemma3: 6,
  gemma3n: 5,
  'gemma-embedding': 6,
  'gpt-oss': 2,
  gptoss: 2,
  olmo2: 4,
}

const f32Bytes = 4

/**
 * The numbers that memory and speed follow from. Keys of the GGUF specification; what a file leaves out is 0, or
 * what the specification says it then is. Throws `Error` where a number cannot be true.
 */
export function readShape(metadata: Metadata, tensors: readonly TensorFacts[]): ModelShape {
  const architecture = metadata['general.architecture']
  if (typeof architecture !== 'string' || architecture === '') throw new Error('it names no architecture')
  const read = (key: string) => countOf(metadata[`${architecture}.${key}`])
  const layerCount = read('block_count') ?? 0
  // Bounds what is allocated for each layer: none is without a tensor.
  if (layerCount > tensors.length) {
    throw new Error(`it claims ${layerCount} layers but has ${tensors.length} tensors`)
  }
  const embeddingLength = read('embedding_length') ?? 0
  const headCount = read('attention.head_count') ?? 0
  const headLength = headCount > 0 ? Math.ceil(embeddingLength / headCount) : 0
  const heads = headsKv(metadata, architecture, layerCount, headCount)
  const recurrent = recurrentState(read, heads, embeddingLength)
  const sliding = slidingLayers(metadata, architecture, layerCount)
  const optional = {
    slidingWindow: read('attention.sliding_window') || undefined,
    slidingLayers: sliding,
    recurrentStateBytes: recurrent || undefined,
    expertCount: read('expert_count') || undefined,
    expertUsedCount: read('expert_used_count') || undefined,
    slidingKeyLength: read('attention.key_length_swa') || undefined,
    slidingValueLength: read('attention.value_length_swa') || undefined,
    latent: latentOf(read),
    recurrent: recurrentOf(read),
    sharedKvLayers: read('attention.shared_kv_layers') || undefined,
    tiedEmbeddings: isTied(tensors) || undefined,
    outputType: (find(tensors, 'output.weight') ?? find(tensors, 'token_embd.weight'))?.type,
  }
  return {
    architecture,
    parameterCount: sum(tensors.map(({ shape }) => shape.reduce((product, length) => product * length, 1))),
    layerCount,
    contextLength: read('context_length') ?? 0,
    embeddingLength,
    feedForwardLength: read('feed_forward_length') ?? 0,
    headCount,
    headCountKv: heads,
    ...headLengths(read, heads, headLength),
    vocabularySize: vocabularySize(metadata, read),
    ...sizes(tensors, layerCount),
    layers: layersOf(tensors, layerCount, metadata, architecture),
    ...wiringOf(tensors),
    ...defined(optional),
  }
}

type ReadNumber = (key: string) => number | undefined

/** KV heads of each layer; 0 for layers that have a recurrent state in place of a cache. */
function headsKv(metadata: Metadata, architecture: string, layerCount: number, headCount: number): number[] {
  const value = metadata[`${architecture}.attention.head_count_kv`]
  const interval = countOf(metadata[`${architecture}.full_attention_interval`])
  return Array.from({ length: layerCount }, (_, layer) => {
    if (interval !== undefined && interval > 1 && (layer + 1) % interval !== 0) return 0
    if (Array.isArray(value)) return countOf(value[layer]) ?? 0
    return countOf(value) ?? headCount
  })
}

/**
 * Lengths of a key and a value. With multi-head latent attention (a `kv_lora_rank`, and one KV head) only the
 * latent and the rotated part of a key are kept, and values are computed from them.
 */
function headLengths(
  read: ReadNumber,
  heads: readonly number[],
  headLength: number,
): { keyLength: number; valueLength: number } {
  const latent = read('attention.kv_lora_rank')
  if (latent !== undefined && heads.every((count) => count === 1)) {
    return { keyLength: latent + (read('rope.dimension_count') ?? 0), valueLength: 0 }
  }
  return {
    keyLength: read('attention.key_length') ?? headLength,
    valueLength: read('attention.value_length') ?? headLength,
  }
}

/** Latent attention as it is computed with; files of before 2025 have its keys and values spread out. */
function latentOf(read: ReadNumber): ModelShape['latent'] {
  const [rank, keyLength, valueLength] = [
    read('attention.kv_lora_rank'),
    read('attention.key_length_mla'),
    read('attention.value_length_mla'),
  ]
  return rank && keyLength && valueLength ? { rank, keyLength, valueLength } : undefined
}

function recurrentOf(read: ReadNumber): ModelShape['recurrent'] {
  const short = read('shortconv.l_cache')
  if (short) {
    const width = read('embedding_length') ?? 0
    return { width, convolved: width, convolution: short - 1, state: 0 }
  }
  const [width, state] = [read('ssm.inner_size'), read('ssm.state_size')]
  if (!width || !state) return undefined
  const convolved = width + 2 * (read('ssm.group_count') ?? 0) * state
  return {
    width,
    convolved,
    convolution: Math.max(0, (read('ssm.conv_kernel') ?? 1) - 1),
    state: width * state,
  }
}

/** Bytes that the recurrent layers (Mamba, gated delta net, RWKV) keep for one sequence, in 32-bit floats. */
function recurrentState(read: ReadNumber, heads: readonly number[], embeddingLength: number): number {
  // Where no layer is without KV heads, each has both (Falcon-H1).
  const layers = heads.filter((count) => count === 0).length || heads.length
  const wkv = read('wkv.head_size')
  if (wkv !== undefined) return f32Bytes * layers * embeddingLength * (2 + wkv)
  const short = read('shortconv.l_cache')
  if (short) return f32Bytes * layers * (short - 1) * embeddingLength
  const inner = read('ssm.inner_size')
  const state = read('ssm.state_size')
  if (inner === undefined || state === undefined) return 0
  const convolution = Math.max(0, (read('ssm.conv_kernel') ?? 1) - 1)
  return (
    f32Bytes * layers * (convolution * (inner + 2 * (read('ssm.group_count') ?? 0) * state) + state * inner)
  )
}

function slidingLayers(metadata: Metadata, architecture: string, layerCount: number): boolean[] | undefined {
  const pattern = metadata[`${architecture}.attention.sliding_window_pattern`]
  if (Array.isArray(pattern)) return Array.from({ length: layerCount }, (_, layer) => pattern[layer] === true)
  const every = countOf(pattern) ?? fullAttentionEvery[architecture]
  if (every === undefined || every < 1) return undefined
  return Array.from({ length: layerCount }, (_, layer) => layer % every < every - 1)
}

function vocabularySize(metadata: Metadata, read: ReadNumber): number {
  const tokens = metadata['tokenizer.ggml.tokens']
  return Array.isArray(tokens) ? tokens.length : (read('vocab_size') ?? 0)
}

/** The input embedding is the output matrix, too. */
function isTied(tensors: readonly TensorFacts[]): boolean {
  const has = (name: string) => find(tensors, name) !== undefined
  // LFM2 names the norm before the output after the embedding.
  const short = tensors.some(({ name }) => name.includes('.shortconv.'))
  const normed = has('output_norm.weight') || (short && has('token_embd_norm.weight'))
  return has('token_embd.weight') && normed && !has('output.weight')
}

function find(tensors: readonly TensorFacts[], name: string): TensorFacts | undefined {
  return tensors.find((tensor) => tensor.name === name)
}

function sizes(
  tensors: readonly TensorFacts[],
  layerCount: number,
): Pick<ModelShape, 'weightBytes' | 'layerBytes' | 'inputBytes' | 'outputBytes'> {
  const layerBytes = new Array<number>(layerCount).fill(0)
  let inputBytes = 0
  let outputBytes = 0
  for (const { name, bytes } of tensors) {
    const [, index] = /^blk\.(\d+)\./.exec(name) ?? []
    const layer = Number(index)
    if (index !== undefined && layer < layerCount) layerBytes[layer] = (layerBytes[layer] ?? 0) + bytes
    else if (/^(token_embd|token_types|position_embd)\b/.test(name)) inputBytes += bytes
    else if (/^output/.test(name)) outputBytes += bytes
  }
  return { weightBytes: sum(tensors.map(({ bytes }) => bytes)), layerBytes, inputBytes, outputBytes }
}

/** No count or length in a model file is larger; what is comes from a broken file. */
const largestCount = 2 ** 32

/**
 * A count or length of the metadata; of an array with one entry a layer the largest. Undefined where there is no
 * number. Throws `Error` for one that cannot be a count.
 */
function countOf(value: unknown): number | undefined {
  const numbers = (Array.isArray(value) ? value : [value]).filter((entry) => typeof entry === 'number')
  const wrong = numbers.find((entry) => !Number.isInteger(entry) || entry < 0 || entry > largestCount)
  if (wrong !== undefined) throw new Error(`it has ${wrong} where its metadata should have a count`)
  return numbers.length > 0 ? numbers.reduce((most, entry) => Math.max(most, entry)) : undefined
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** The fields that are not undefined. */
function defined<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>
}
