import { DroverError } from '../../inference/index.ts'
import { type ModelShape, tensorBytes } from '../../models/index.ts'
import type { RunShape } from '../contract.ts'

/** llama.cpp rounds a slot's context up to a multiple of this, and a window's cells likewise. */
const contextPadding = 256

/** Tokens that a slot holds when it was asked for `tokens`. */
export function padContext(tokens: number): number {
  return Math.ceil(tokens / contextPadding) * contextPadding
}

/** Cells of a slot in sliding layers: the window, and a batch that is being added. */
export function windowCells(window: number, run: RunShape): number {
  const cells = padContext(run.contextLength)
  return Math.min(cells, padContext(window + physicalBatch(run)))
}

/** Tokens that are computed at once: no batch is longer than all slots' contexts together, as they were asked for. */
export function physicalBatch({ batchSize, contextLength, slots }: RunShape): number {
  return Math.max(1, Math.min(batchSize, slots * contextLength))
}

/** Tokens that buffers are laid out for: as many of each slot (`llama_context::graph_reserve`). */
export function reservedTokens(run: RunShape): number {
  return Math.ceil(physicalBatch(run) / run.slots) * run.slots
}

/** Type of the values: without flash attention llama.cpp cannot quantise them, and they are kept as f16. */
export function valueTypeOf({ kvCacheType, flashAttention }: RunShape): string {
  return flashAttention === 'off' && kvCacheType !== 'f32' && kvCacheType !== 'bf16' ? 'f16' : kvCacheType
}

const wholeTypes = new Set(['f32', 'f16', 'bf16'])
/** Numbers of a block of any quantised type. */
const blockNumbers = 32

/**
 * The type that a model's cache can have: a quantised one has blocks, which heads have to divide into (`llama_context`
 * refuses others); else f16.
 */
export function cacheTypeFor<T extends string>(shape: ModelShape, wanted: T): T | 'f16' {
  const { keyLength, valueLength, slidingKeyLength = 0, slidingValueLength = 0 } = shape
  const lengths = [keyLength, valueLength, slidingKeyLength, slidingValueLength]
  return wholeTypes.has(wanted) || lengths.every((length) => length % blockNumbers === 0) ? wanted : 'f16'
}

export function isSliding(shape: ModelShape, layer: number): boolean {
  return shape.slidingWindow !== undefined && shape.slidingLayers?.[layer] === true
}

/** Whether some of the layers see a window only. */
export function hasWindow(shape: ModelShape): boolean {
  return shape.slidingWindow !== undefined && shape.slidingLayers?.includes(true) === true
}

/** Cells that a slot has in a layer. */
export function cellsOf(shape: ModelShape, layer: number, run: RunShape): number {
  if (!hasCache(shape)) return padContext(reservedTokens(run))
  return isSliding(shape, layer) ? windowCells(shape.slidingWindow ?? 0, run) : padContext(run.contextLength)
}

/** Widths of a layer's keys and values, all heads together; 0 where it keeps none. */
export function cacheWidths(shape: ModelShape, layer: number): { keys: number; values: number } {
  const heads = keepsCache(shape, layer) ? (shape.headCountKv[layer] ?? 0) : 0
  const sliding = isSliding(shape, layer)
  const keyLength = (sliding && shape.slidingKeyLength) || shape.keyLength
  const valueLength = (sliding && shape.slidingValueLength) || shape.valueLength
  return { keys: heads * keyLength, values: heads * valueLength }
}

/**
 * Bytes of each layer's cache, all slots together: keys and values of its cells, and the state of recurrent layers,
 * whose size no context changes (`llama_kv_cache`, `llama_kv_cache_iswa`, `llama_memory_recurrent`). Throws
 * `invalid_option` for a cache type that does not exist.
 */
export function kvCacheByLayer(shape: ModelShape, run: RunShape): number[] {
  const recurrent = recurrentLayers(shape)
  const stateBytes = recurrent.size > 0 ? (shape.recurrentStateBytes ?? 0) / recurrent.size : 0
  const valueType = valueTypeOf(run)
  // Without flash attention values are stored crosswise, and layers of differing widths are padded to the widest.
  const padded = run.flashAttention === 'off' ? widestValues(shape) : 0
  return shape.headCountKv.map((_, layer) => {
    const { keys, values } = cacheWidths(shape, layer)
    const cells = cellsOf(shape, layer, run)
    const width = keys > 0 && values > 0 ? Math.max(values, padded) : values
    const cache = cacheBytes(run.kvCacheType, keys * cells) + cacheBytes(valueType, width * cells)
    return run.slots * (cache + (recurrent.has(layer) ? stateBytes : 0))
  })
}

function widestValues(shape: ModelShape): number {
  const widths = shape.headCountKv.map((_, layer) => cacheWidths(shape, layer).values)
  return widths.reduce((most, width) => Math.max(most, width), 0)
}

/** Layers without KV heads where there are some, else all of them: they have both (Falcon-H1). */
function recurrentLayers(shape: ModelShape): ReadonlySet<number> {
  if (!shape.recurrentStateBytes) return new Set()
  const all = shape.headCountKv.map((_, layer) => layer)
  const without = all.filter((layer) => shape.headCountKv[layer] === 0)
  return new Set(without.length > 0 ? without : all)
}

/** Architectures that see all of a text at once and keep nothing of it (`llama_model::create_memory`). */
const cacheless = new Set([
  'bert',
  'dream',
  'eurobert',
  'gemma-embedding',
  'jina-bert-v2',
  'jina-bert-v3',
  'llada',
  'llada-moe',
  'modern-bert',
  'neo-bert',
  'nomic-bert',
  'nomic-bert-moe',
  'rnd1',
  'wavtokenizer-dec',
])

/** Whether the model keeps anything of what it has read. */
export function hasCache({ architecture }: ModelShape): boolean {
  return !cacheless.has(architecture)
}

function keepsCache(shape: ModelShape, layer: number): boolean {
  return hasCache(shape) && layer < shape.layerCount - (shape.sharedKvLayers ?? 0)
}

function cacheBytes(type: string, values: number): number {
  const bytes = tensorBytes(type, values)
  if (bytes !== undefined) return bytes
  throw new DroverError('invalid_option', `unknown KV cache type "${type}": take f16, q8_0 or q4_0`)
}
