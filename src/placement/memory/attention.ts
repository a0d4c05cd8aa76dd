import { type ModelShape, tensorBytes } from '../../models/index.ts'
import { step, type Tensor, view } from './allocator.ts'
import { f16Bytes, f32Bytes, norm, type Sizes } from './graph-sizes.ts'
import { cacheWidths, cellsOf, hasCache, hasWindow, isSliding, padContext } from './kv-cache.ts'

/** Whether tokens have no place (no RoPE) in the layers that see everything. */
const unplacedWhole = (shape: ModelShape): boolean =>
  hasWindow(shape) && (shape.architecture === 'cohere2' || shape.architecture === 'exaone4')

/** Attention of a layer with keys and values of its own, before its output projection. */
export function attention(sizes: Sizes, normed: Tensor, layer: number): Tensor {
  const { graph, shape, run, tokens, inputs } = sizes
  const sliding = isSliding(shape, layer)
  const keyLength = (sliding && shape.slidingKeyLength) || shape.keyLength
  const valueLength = (sliding && shape.slidingValueLength) || shape.valueLength
  const headsKv = shape.headCountKv[layer] ?? 0
  const queryBytes = f32Bytes * tokens * shape.headCount * keyLength
  const keyBytes = f32Bytes * tokens * headsKv * keyLength
  const valueBytes = f32Bytes * tokens * headsKv * valueLength
  const cache = sliding ? inputs.window : inputs.whole

  const fused = shape.fusedQkv ? step(graph, queryBytes + keyBytes + valueBytes, [normed]) : undefined
  const project = (bytes: number) =>
    fused ? view(graph, fused, bytes) : view(graph, step(graph, bytes, [normed]))
  const turn = (of: Tensor, bytes: number, rotation: Tensor | undefined) =>
    rotation ? view(graph, step(graph, bytes, [view(graph, of), rotation])) : of
  const unplaced = shape.tabledPositions || (!sliding && unplacedWhole(shape))
  const place = (of: Tensor, bytes: number) => (unplaced ? of : step(graph, bytes, [of, inputs.positions]))

  const query = turn(place(project(queryBytes), queryBytes), queryBytes, cache.keyRotation)
  const makeKey = () => turn(place(project(keyBytes), keyBytes), keyBytes, cache.keyRotation)
  // Values come first in a cache of one kind (`build_attn`).
  const early = hasWindow(shape) || !hasCache(shape) ? makeKey() : undefined
  const value = turn(project(valueBytes), valueBytes, cache.valueRotation)
  const key = early ?? makeKey()
  if (hasCache(shape)) {
    step(graph, 0, [view(graph, key), cache.keyRows])
    step(graph, 0, [view(graph, value), cache.valueRows])
  }
  const read = readBack(sizes, layer, { key, value })

  const asked = view(graph, view(graph, query))
  const outputBytes = f32Bytes * tokens * shape.headCount * valueLength
  let attended: Tensor
  if (run.flashAttention === 'off') {
    const scoreBytes = f32Bytes * cellsOf(shape, layer, run) * tokens * shape.headCount
    const scores = step(graph, scoreBytes, [asked, ...read.keys])
    const weights = step(graph, scoreBytes, [scores, cache.mask], { inplace: true })
    const mixed = step(graph, outputBytes, [weights, ...read.values])
    attended = step(graph, outputBytes, [view(graph, mixed)])
  } else {
    attended = view(graph, step(graph, outputBytes, [asked, ...read.keys, ...read.values, cache.mask]))
  }
  return attended
}

/** What all heads of a layer attended, as hidden states. */
export function projected({ graph, shape, tokens, inputs }: Sizes, heads: Tensor, layer: number): Tensor {
  const { valueRotation } = isSliding(shape, layer) ? inputs.window : inputs.whole
  const turnedBack =
    valueRotation && !shape.latent
      ? view(graph, step(graph, heads.bytes, [view(graph, heads), valueRotation]))
      : heads
  return step(graph, f32Bytes * tokens * shape.embeddingLength, [turnedBack])
}

/**
 * Keys and values as attention reads them, as far as that takes memory: a cache of 32-bit floats is rounded for flash
 * attention, all of it; what is kept nowhere is filled up to whole cells, and then rounded or, without, its values
 * transposed.
 */
function readBack(
  { graph, shape, run, tokens }: Sizes,
  layer: number,
  computed: { key: Tensor; value: Tensor },
): { keys: Tensor[]; values: Tensor[] } {
  const flash = run.flashAttention !== 'off'
  const rounded = (of: Tensor[], bytes: number) => [step(graph, bytes, of)]
  if (!hasCache(shape)) {
    const cells = cellsOf(shape, layer, run)
    const filled = (of: Tensor) => step(graph, (of.bytes / tokens) * cells, [view(graph, of)])
    const halved = (of: Tensor) => rounded([view(graph, of)], of.bytes / 2)
    if (flash) return { keys: halved(filled(computed.key)), values: halved(filled(computed.value)) }
    const value = filled(computed.value)
    const values = [step(graph, value.bytes, [view(graph, value)])]
    return { values, keys: [view(graph, filled(computed.key))] }
  }
  if (!flash || run.kvCacheType !== 'f32') return { keys: [], values: [] }
  const widths = cacheWidths(shape, layer)
  const cells = run.slots * cellsOf(shape, layer, run)
  const [keys, values] = [
    rounded([], f16Bytes * cells * widths.keys),
    rounded([], f16Bytes * cells * widths.values),
  ]
  return { keys, values }
}

/** The same with a latent: queries are carried over into its space, and what was attended back out of it. */
export function latentAttention(
  { graph, shape, run, tokens, inputs }: Sizes,
  normed: Tensor,
  latent: NonNullable<ModelShape['latent']>,
): Tensor {
  const { rank, keyLength, valueLength } = latent
  const { mask, keyRows } = inputs.whole
  const bytesOf = (width: number) => f32Bytes * tokens * width
  const turned = shape.keyLength - rank
  const ofHeads = (width: number) => bytesOf(shape.headCount * width)
  const query = view(graph, step(graph, ofHeads(keyLength), [step(graph, normed.bytes, [normed])]))
  const plain = view(graph, view(graph, query, ofHeads(keyLength - turned)))
  const absorbed = view(graph, step(graph, ofHeads(rank), [plain]))
  const placed = step(graph, ofHeads(turned), [view(graph, query, ofHeads(turned)), inputs.positions])
  const asked = view(graph, view(graph, step(graph, ofHeads(shape.keyLength), [absorbed, placed])))
  const both = step(graph, bytesOf(shape.keyLength), [normed])
  const compressed = view(graph, norm(graph, step(graph, bytesOf(rank), [view(graph, both, bytesOf(rank))])))
  const placedKey = step(graph, bytesOf(turned), [view(graph, both, bytesOf(turned)), inputs.positions])
  const key = step(graph, bytesOf(shape.keyLength), [compressed, placedKey])
  step(graph, 0, [view(graph, key), keyRows])
  let mixed: Tensor
  if (run.flashAttention === 'off') {
    const cells = padContext(run.contextLength)
    // Values are a part of the keys, and laid crosswise for all slots.
    const values = step(graph, tensorBytes(run.kvCacheType, run.slots * cells * rank) ?? 0, [])
    const scores = step(graph, ofHeads(cells), [asked])
    const weights = step(graph, scores.bytes, [scores, mask], { inplace: true })
    mixed = step(graph, ofHeads(rank), [values, weights])
  } else {
    const halves = (width: number) => f16Bytes * run.slots * padContext(run.contextLength) * width
    const rounded = run.kvCacheType === 'f32' ? [shape.keyLength, rank] : []
    const read = rounded.map((width) => step(graph, halves(width), []))
    mixed = step(graph, ofHeads(rank), [asked, ...read, mask])
  }
  const spread = step(graph, ofHeads(valueLength), [view(graph, mixed)])
  return step(graph, ofHeads(valueLength), [view(graph, spread)])
}
