import type { ModelShape } from '../../models/index.ts'
import type { RunShape } from '../contract.ts'
import { deviceComputeBytes, outputBufferBytes, wholeComputeBytes } from './compute.ts'
import { type Corrections, uncorrected } from './corrections.ts'
import { kvCacheByLayer } from './kv-cache.ts'
import { amxBytesOf, headBytes, layersOf } from './layers.ts'

/** What an instance is to be run with. */
export interface MemoryWishes {
  /** Tokens of each slot. */
  contextLength: number
  slots: number
  /** ggml type of keys and values: `f16` (default), `q8_0`, `q4_0`, ... */
  kvCacheType?: string | undefined
  /** Tokens of a physical batch; 512 by default, or for embeddings a whole input. */
  batchSize?: number | undefined
  /** `auto` (default) counts as on: llama.cpp takes it wherever the device has it, the CPU included. */
  flashAttention?: 'auto' | 'on' | 'off' | undefined
  /** The instance embeds: it makes no logits, and takes an input as one batch. */
  embedding?: boolean | undefined
  /** It runs on the CPU; `amx`: on one that has AMX, for which weights are packed. */
  cpu?: { amx: boolean } | undefined
  /** As in `RunShape`. */
  batchLogits?: boolean | undefined
}

/** Estimated need of an instance, in bytes. */
export interface MemoryEstimate {
  weightsBytes: number
  kvCacheBytes: number
  /** Buffers of the arithmetic and of its results. */
  computeBytes: number
  totalBytes: number
}

const defaultBatchSize = 512

/** An embedding's input is one batch, up to this. */
const largestEmbeddingBatch = 8192

/** A complete `RunShape`. */
export function runShapeOf(wishes: MemoryWishes): RunShape {
  const { contextLength, slots, kvCacheType = 'f16', embedding, batchLogits } = wishes
  const ownBatchSize = embedding ? Math.min(contextLength, largestEmbeddingBatch) : defaultBatchSize
  const batchSize = wishes.batchSize ?? ownBatchSize
  const flashAttention = wishes.flashAttention ?? 'auto'
  return { contextLength, slots, kvCacheType, batchSize, flashAttention, ...(batchLogits && { batchLogits }) }
}

/**
 * What an instance takes that has all layers on one device, or on the CPU: the sum of the buffers in llama.cpp's log, the
 * few of the host's among them. Pure. Throws
 * `invalid_option` for a KV cache type that does not exist.
 */
export function estimateMemory(
  shape: ModelShape,
  wishes: MemoryWishes,
  corrections: Corrections = uncorrected,
): MemoryEstimate {
  const run = runShapeOf(wishes)
  const embedding = wishes.embedding ?? false
  const cache = kvCacheByLayer(shape, run).reduce((sum, bytes) => sum + bytes, 0)
  const steps = wishes.cpu ? wholeComputeBytes : deviceComputeBytes
  const compute = steps(shape, run, embedding) + outputBufferBytes(shape, run)
  const weightsBytes = Math.ceil(corrections.weights * weights(shape, wishes.cpu))
  const kvCacheBytes = Math.ceil(corrections.kvCache * cache)
  const computeBytes = Math.ceil(corrections.compute * compute)
  return { weightsBytes, kvCacheBytes, computeBytes, totalBytes: weightsBytes + kvCacheBytes + computeBytes }
}

/** Every tensor, what a CPU's own order of them adds, and the copy of an embedding that is the head, too. */
function weights(shape: ModelShape, cpu: { amx: boolean } | undefined): number {
  const head = headBytes(shape, { cpu: cpu !== undefined, amx: cpu?.amx ?? false })
  const packed = cpu?.amx ? layersOf(shape).reduce((sum, layer) => sum + amxBytesOf(layer), 0) : 0
  return shape.weightBytes - shape.outputBytes + head + packed
}
