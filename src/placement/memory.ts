import { DroverError } from '../inference/index.ts'
import { type ModelShape, tensorBytes } from '../models/index.ts'

/*
 * Memory of one instance, after llama.cpp's own allocation (formulas as in gguf-parser-go; context padding and
 * the sliding-window cache as in llama.cpp's `llama_context` and `llama_kv_cache_iswa`):
 *
 *   weights  every tensor of the file
 *   KV cache for each layer rowBytes(type, keyLength * headsKv * cells) + the same with valueLength, where cells
 *            is slots * context, or for a sliding-window layer no more than slots * window + batch; layers
 *            without KV heads keep a recurrent state of a fixed size for each slot
 *   compute  the largest step of a batch (attention, feed-forward, or the logits), as buffers are used again
 *            from step to step; then the output buffer and the graph
 *
 * Facts that are unknown are taken as the larger: no window, f16.
 */

/** What an instance is to be run with. */
export interface MemoryWishes {
  /** Tokens of each slot. */
  contextLength: number
  slots: number
  /** ggml type of keys and values: `f16` (default), `q8_0`, `q4_0`, ... */
  kvCacheType?: string | undefined
  /** Tokens of a physical batch; 512 by default. */
  batchSize?: number | undefined
  /** `auto` (default) counts as on: llama.cpp takes it wherever the device has it, the CPU included. */
  flashAttention?: 'auto' | 'on' | 'off' | undefined
  /** The instance embeds: it makes no logits, and takes an input as one batch. */
  embedding?: boolean | undefined
}

/** Estimated need of an instance, in bytes. */
export interface MemoryEstimate {
  weightsBytes: number
  kvCacheBytes: number
  /** Buffers of the arithmetic and the engine's own. */
  computeBytes: number
  totalBytes: number
}

export const defaultBatchSize = 512

/** llama.cpp rounds a context up to a multiple of this. */
const contextPadding = 256

/** Scheduler and graph of llama.cpp: a fixed part, and one for each node of about 20 a layer. */
const schedulerBytes = 4 * 2 ** 20
const graphBytesPerNode = 400
const graphNodesPerLayer = 160
const fewestGraphNodes = 1024

const f32Bytes = 4

/** Estimates what an instance takes. Pure. Throws `invalid_option` for a KV cache type that does not exist. */
export function estimateMemory(shape: ModelShape, wishes: MemoryWishes): MemoryEstimate {
  const weightsBytes = shape.weightBytes
  const kvCacheBytes = kvCache(shape, wishes)
  const computeBytes = compute(shape, wishes)
  return { weightsBytes, kvCacheBytes, computeBytes, totalBytes: weightsBytes + kvCacheBytes + computeBytes }
}

function kvCache(shape: ModelShape, wishes: MemoryWishes): number {
  const { slots, kvCacheType = 'f16', flashAttention, batchSize = defaultBatchSize } = wishes
  // Without flash attention values cannot be quantised: llama.cpp keeps them as f16.
  const valueType = flashAttention === 'off' ? 'f16' : kvCacheType
  const cells = slots * padContext(wishes.contextLength)
  const window = shape.slidingWindow
  const windowCells = window === undefined ? cells : Math.min(cells, padContext(window * slots + batchSize))
  const layers = shape.headCountKv.reduce((sum, heads, layer) => {
    const held = shape.slidingLayers?.[layer] ? windowCells : cells
    return (
      sum +
      cacheBytes(kvCacheType, shape.keyLength * heads * held) +
      cacheBytes(valueType, shape.valueLength * heads * held)
    )
  }, 0)
  return layers + slots * (shape.recurrentStateBytes ?? 0)
}

function compute(shape: ModelShape, wishes: MemoryWishes): number {
  const { slots, flashAttention, embedding } = wishes
  const context = padContext(wishes.contextLength)
  const batch = Math.min(wishes.batchSize ?? defaultBatchSize, context)
  const headsKv = Math.max(1, ...shape.headCountKv)
  // The input of a step and the residual stream beside it.
  const hidden = 2 * f32Bytes * batch * shape.embeddingLength
  const queries = f32Bytes * batch * shape.headCount * shape.keyLength
  const keysAndValues = f32Bytes * batch * headsKv * (shape.keyLength + shape.valueLength)
  // Scores of every head and a mask of as many cells; flash attention has only a mask, of 16 bits.
  const scores =
    flashAttention === 'off' ? f32Bytes * context * batch * (shape.headCount + 1) : 2 * context * batch
  const attention = queries + keysAndValues + scores
  const feedForward = 2 * f32Bytes * batch * shape.feedForwardLength * Math.max(1, shape.expertUsedCount ?? 1)
  const logits = embedding ? 0 : f32Bytes * batch * shape.vocabularySize
  const output = f32Bytes * slots * (shape.embeddingLength + (embedding ? 0 : shape.vocabularySize))
  const graph = graphBytesPerNode * Math.max(fewestGraphNodes, graphNodesPerLayer * shape.layerCount)
  return hidden + Math.max(attention, feedForward, logits) + output + graph + schedulerBytes
}

function padContext(tokens: number): number {
  return Math.ceil(tokens / contextPadding) * contextPadding
}

function cacheBytes(type: string, values: number): number {
  const bytes = tensorBytes(type, values)
  if (bytes !== undefined) return bytes
  throw new DroverError('invalid_option', `unknown KV cache type "${type}": take f16, q8_0 or q4_0`)
}
