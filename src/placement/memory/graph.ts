import { type LayerShape, type ModelShape, tensorBytes } from '../../models/index.ts'
import type { RunShape } from '../contract.ts'
import { createGraph, type Graph, input, step, type Tensor, view } from './allocator.ts'
import {
  cacheWidths,
  cellsOf,
  hasCache,
  isSliding,
  padContext,
  physicalBatch,
  reservedTokens,
  valueTypeOf,
  windowCells,
} from './kv-cache.ts'
import { expertMatrixBytes, layersOf } from './layers.ts'

/*
 * The computation of a batch as llama.cpp builds it (`llm_graph_context`, `src/models/*.cpp`), as far as results take
 * memory: sizes, order, and what each step still needs. Weights and caches have buffers of their own and are left out.
 */

const f32Bytes = 4
const f16Bytes = 2
const i32Bytes = 4
const i64Bytes = 8

/** Part of a computation: its layers, and what comes before and after them. */
export interface GraphPart {
  layers: readonly number[]
  /**
   * `tokens`: it looks up their embeddings. `lookup`: it does only that. `embeddings`: another part has looked them up.
   * `hidden`: another part has computed the layers before.
   */
  begins: 'tokens' | 'lookup' | 'embeddings' | 'hidden'
  /** The last of `layers` is the model's, and the head follows. */
  ends: boolean
  /** Inputs that are kept of each, so that the next batch can begin before this one ends; 1 where it does not. */
  copies: number
  /** Experts lie in host memory: each of their matrices is copied before it is multiplied. */
  borrowsExperts?: boolean
}

interface Sizes {
  graph: Graph
  shape: ModelShape
  run: RunShape
  tokens: number
  outputs: number
  embedding: boolean
  borrowsExperts: boolean
  inputs: Inputs
  layers: readonly LayerShape[]
}

interface Inputs {
  positions: Tensor
  outputs: Tensor
  /** By kind of cache: the mask of its cells, where rows are stored, what rotates them. */
  whole: CacheInputs
  window: CacheInputs
}

interface CacheInputs {
  mask: Tensor
  keyRows: Tensor
  valueRows: Tensor
  keyRotation?: Tensor
  valueRotation?: Tensor
}

/** The computation of a whole batch over a part of a model. */
export function graphOf(shape: ModelShape, run: RunShape, embedding: boolean, part: GraphPart): Graph {
  const graph = createGraph(part.copies)
  const tokens = reservedTokens(run)
  const all = physicalBatch(run)
  const outputs = embedding || run.batchLogits ? all : Math.min(all, run.slots)
  const width = f32Bytes * tokens * shape.embeddingLength
  let hidden = beginning(graph, part.begins, tokens, width)
  const inputs = inputsOf(graph, shape, run, { tokens, outputs, layers: part.layers })
  const { borrowsExperts = false } = part
  const common = { graph, shape, run, tokens, outputs, embedding, inputs }
  const sizes: Sizes = { ...common, borrowsExperts, layers: layersOf(shape) }
  for (const layer of part.layers) {
    hidden = layerOf(sizes, hidden, layer, part.ends && layer === part.layers.at(-1))
  }
  if (part.ends) head(sizes, hidden)
  else step(graph, 0, [hidden])
  return graph
}

/**
 * Looks up the tokens' embeddings, or takes what was looked up. Beside it two ways are laid out that a text never takes:
 * embeddings as the input (of an image), and a mixture of both, which is made where the first layers are.
 */
function beginning(graph: Graph, begins: GraphPart['begins'], tokens: number, width: number): Tensor {
  if (begins === 'hidden') return input(graph, width)
  const here = begins !== 'embeddings'
  const lookUp = () => (here ? step(graph, width, [input(graph, i32Bytes * tokens)]) : input(graph, width))
  if (here) input(graph, width)
  const mixedEmbeddings = input(graph, width)
  const slots = input(graph, i64Bytes * tokens)
  const hidden = lookUp()
  const looked = lookUp()
  if (begins === 'lookup') return hidden
  const mixed = step(graph, width, [mixedEmbeddings])
  // Nothing reads this one, so its memory is never given back.
  view(graph, mixed, width, [looked, slots])
  return hidden
}

/** A kind of cache that no layer here uses has no inputs; where there are no layers, inputs are kept for all of them. */
function inputsOf(
  graph: Graph,
  shape: ModelShape,
  run: RunShape,
  { tokens, outputs, layers }: { tokens: number; outputs: number; layers: readonly number[] },
): Inputs {
  const positions = input(graph, i32Bytes * tokens)
  const here = layers.length > 0 ? layers : shape.headCountKv.map((_, layer) => layer)
  const attending = here.filter((layer) => (shape.headCountKv[layer] ?? 0) > 0)
  const inputsFor = (sliding: boolean, cells: number) =>
    attending.some((layer) => isSliding(shape, layer) === sliding)
      ? cacheInputs(graph, shape, run, tokens, cells)
      : noCache(graph)
  const whole = inputsFor(false, hasCache(shape) ? padContext(run.contextLength) : tokens)
  const window = inputsFor(true, windowCells(shape.slidingWindow ?? 0, run))
  return { positions, whole, window, outputs: input(graph, i32Bytes * outputs) }
}

/** No mask, no rows. */
const noCache = (graph: Graph): CacheInputs => {
  const nothing = input(graph, 0)
  return { mask: nothing, keyRows: nothing, valueRows: nothing }
}

function cacheInputs(
  graph: Graph,
  shape: ModelShape,
  run: RunShape,
  tokens: number,
  cells: number,
): CacheInputs {
  const flash = run.flashAttention !== 'off'
  const widest = Math.max(...shape.headCountKv) * shape.valueLength
  const keyRotation = rotationBytes(run.kvCacheType, shape.keyLength, false)
  const valueRotation = rotationBytes(valueTypeOf(run), shape.valueLength, true)
  return {
    keyRows: input(graph, i64Bytes * tokens),
    // Crosswise values are stored one by one.
    valueRows: input(graph, i64Bytes * tokens * (flash ? 1 : widest)),
    mask: input(graph, (flash ? 2 : f32Bytes) * cells * tokens),
    ...(keyRotation > 0 && { keyRotation: input(graph, keyRotation) }),
    ...(valueRotation > 0 && { valueRotation: input(graph, valueRotation) }),
  }
}

/** The matrix that spreads outliers before a cache is quantised; 0 where none is. */
function rotationBytes(type: string, headLength: number, smallest: boolean): number {
  const quantised = (tensorBytes(type, 256) ?? 0) < 512
  if (!quantised || headLength === 0 || headLength % 64 !== 0) return 0
  let side = 64
  if (!smallest) while (headLength % (2 * side) === 0) side *= 2
  return f32Bytes * side * side
}

function layerOf(sizes: Sizes, hidden: Tensor, layer: number, last: boolean): Tensor {
  const { graph, shape, tokens, outputs, inputs } = sizes
  const rows = last ? outputs : tokens
  const width = (count: number) => f32Bytes * count * shape.embeddingLength
  const normed = norm(graph, hidden)
  const { feedForwardLength = 0, expertCount = 0 } = sizes.layers[layer] ?? {}
  let attended = lookBack(sizes, normed, layer)
  let residual = hidden
  let parallelInput = normed
  if (last) {
    attended = step(graph, width(rows), [attended, inputs.outputs])
    residual = step(graph, width(rows), [hidden, inputs.outputs])
    if (shape.parallelLayers) parallelInput = step(graph, width(rows), [normed, inputs.outputs])
  }
  if (shape.parallelLayers) {
    const computed = feedForward(sizes, parallelInput, layer, rows)
    const both = step(graph, width(rows), [attended, computed], { inplace: true })
    return step(graph, width(rows), [both, residual], { inplace: true })
  }
  const between = step(graph, width(rows), [attended, residual], { inplace: true })
  if (feedForwardLength === 0 && expertCount === 0) return between
  const computed = feedForward(sizes, norm(graph, between), layer, rows)
  return step(graph, width(rows), [computed, between], { inplace: true })
}

function norm(graph: Graph, of: Tensor): Tensor {
  const scaled = step(graph, of.bytes, [of], { inplace: true })
  return step(graph, of.bytes, [scaled], { inplace: true })
}

function attention(sizes: Sizes, normed: Tensor, layer: number): Tensor {
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
  // Turned where they are, unless they lie side by side in one matrix.
  const place = (of: Tensor, bytes: number) =>
    step(graph, bytes, [of, inputs.positions], { inplace: !fused })

  const query = turn(place(project(queryBytes), queryBytes), queryBytes, cache.keyRotation)
  const value = turn(project(valueBytes), valueBytes, cache.valueRotation)
  const key = turn(place(project(keyBytes), keyBytes), keyBytes, cache.keyRotation)
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
    const mixed = step(graph, outputBytes, [weights, ...read.values()])
    attended = step(graph, outputBytes, [view(graph, mixed)])
  } else {
    attended = view(graph, step(graph, outputBytes, [asked, ...read.keys, ...read.values(), cache.mask]))
  }
  attended = turn(attended, outputBytes, cache.valueRotation)
  return step(graph, f32Bytes * tokens * shape.embeddingLength, [attended])
}

/**
 * Keys and values as attention reads them, as far as that takes memory: a cache of 32-bit floats is rounded for flash
 * attention, all of it; what is kept nowhere is read where it was computed, rounded or, without, its values transposed.
 */
function readBack(
  { graph, shape, run }: Sizes,
  layer: number,
  computed: { key: Tensor; value: Tensor },
): { keys: Tensor[]; values: () => Tensor[] } {
  const flash = run.flashAttention !== 'off'
  const rounded = (of: Tensor[], bytes: number) => [step(graph, bytes, of)]
  if (!hasCache(shape)) {
    const { key, value } = { key: view(graph, computed.key), value: view(graph, computed.value) }
    if (!flash) return { keys: [key], values: () => [step(graph, value.bytes, [view(graph, value)])] }
    const [keys, values] = [rounded([key], key.bytes / 2), rounded([value], value.bytes / 2)]
    return { keys, values: () => values }
  }
  if (!flash || run.kvCacheType !== 'f32') return { keys: [], values: () => [] }
  const widths = cacheWidths(shape, layer)
  const cells = run.slots * cellsOf(shape, layer, run)
  const [keys, values] = [rounded([], f16Bytes * cells * widths.keys), rounded([], f16Bytes * cells * widths.values)]
  return { keys, values: () => values }
}

/** What a layer draws from the tokens before: by attention, by a state, or (Falcon-H1) by both side by side. */
function lookBack(sizes: Sizes, normed: Tensor, layer: number): Tensor {
  const { graph, shape } = sizes
  const { recurrent, latent, headCountKv } = shape
  if (recurrent && headCountKv[layer] === 0) return recurrentStep(sizes, normed, recurrent)
  const attended = latent ? latentAttention(sizes, normed, latent) : attention(sizes, normed, layer)
  if (!recurrent || headCountKv.includes(0)) return attended
  const carried = recurrentStep(sizes, normed, recurrent)
  return step(graph, attended.bytes, [attended, carried], { inplace: true })
}

/** A layer of Mamba's kind: a convolution over the last tokens, and a scan that carries a state along. */
function recurrentStep(
  { graph, shape, run, tokens }: Sizes,
  normed: Tensor,
  recurrent: NonNullable<ModelShape['recurrent']>,
): Tensor {
  const { width, convolved, convolution, state } = recurrent
  const bytesOf = (numbers: number) => f32Bytes * tokens * numbers
  const kept = step(graph, f32Bytes * run.slots * convolution * convolved, [])
  const both = step(graph, bytesOf(width + convolved), [view(graph, normed)])
  const gate = view(graph, both, bytesOf(width))
  const joined = step(graph, kept.bytes + bytesOf(convolved), [
    view(graph, kept),
    view(graph, view(graph, both, bytesOf(convolved))),
  ])
  step(graph, 0, [view(graph, joined, kept.bytes)])
  const smooth = step(graph, bytesOf(convolved), [joined])
  const steps = step(graph, bytesOf(width), [smooth])
  const scanned = step(graph, bytesOf(width) + f32Bytes * run.slots * state, [view(graph, smooth), steps])
  step(graph, 0, [view(graph, scanned, f32Bytes * run.slots * state)])
  const skipped = step(graph, bytesOf(width), [smooth], { inplace: width === convolved })
  const summed = step(graph, bytesOf(width), [view(graph, scanned, bytesOf(width)), skipped], {
    inplace: true,
  })
  const gated = step(graph, bytesOf(width), [step(graph, bytesOf(width), [gate]), summed])
  return view(graph, step(graph, bytesOf(shape.embeddingLength), [gated]))
}

/** Queries are carried over into the latent's space, and what was attended back out of it. */
function latentAttention(
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
    const scores = step(graph, ofHeads(padContext(run.contextLength)), [asked])
    const weights = step(graph, scores.bytes, [scores, mask], { inplace: true })
    mixed = step(graph, ofHeads(rank), [weights])
  } else {
    mixed = step(graph, ofHeads(rank), [asked, mask])
  }
  const spread = step(graph, ofHeads(valueLength), [view(graph, mixed)])
  const attended = step(graph, ofHeads(valueLength), [view(graph, spread)])
  return step(graph, bytesOf(shape.embeddingLength), [attended])
}

function feedForward(sizes: Sizes, normed: Tensor, layer: number, rows: number): Tensor {
  const { graph, shape } = sizes
  const own = sizes.layers[layer]
  const { feedForwardLength = 0, expertCount = 0, sharedLength = 0 } = own ?? {}
  if (expertCount > 0) {
    const borrowed = own && sizes.borrowsExperts ? expertMatrixBytes(own) : 0
    const routed = experts(sizes, normed, rows, feedForwardLength, expertCount, borrowed)
    if (sharedLength === 0) return routed
    const shared = activation(graph, normed, f32Bytes * rows * sharedLength, 'gated')
    return step(graph, routed.bytes, [routed, step(graph, routed.bytes, [shared])], { inplace: true })
  }
  const bytes = f32Bytes * rows * feedForwardLength
  const outputBytes = f32Bytes * rows * shape.embeddingLength
  return step(graph, outputBytes, [activation(graph, normed, bytes, shape.feedForward ?? 'gated')])
}

function activation(graph: Graph, normed: Tensor, bytes: number, kind: 'gated' | 'fused' | 'plain'): Tensor {
  if (kind === 'fused') return step(graph, bytes, [step(graph, 2 * bytes, [normed])])
  const first = step(graph, bytes, [normed])
  if (kind === 'plain') return step(graph, bytes, [first], { inplace: true })
  return step(graph, bytes, [first, step(graph, bytes, [normed])])
}

/** A router, the chosen experts side by side, and their sum. A matrix that is borrowed goes back with its product. */
function experts(
  sizes: Sizes,
  normed: Tensor,
  rows: number,
  length: number,
  count: number,
  borrowedBytes: number,
): Tensor {
  const { graph, shape } = sizes
  const used = Math.min(count, Math.max(1, shape.expertUsedCount ?? 1))
  const routed = step(graph, f32Bytes * rows * count, [normed])
  const probabilities = step(graph, routed.bytes, [routed], { inplace: true })
  const sorted = step(graph, i32Bytes * rows * count, [probabilities])
  const chosen = view(graph, sorted, i32Bytes * rows * used)
  const picked = step(graph, f32Bytes * rows * used, [view(graph, probabilities), chosen])
  const flat = view(graph, picked)
  const total = step(graph, f32Bytes * rows, [flat])
  const weights = view(graph, step(graph, picked.bytes, [flat, total], { inplace: true }))
  const each = view(graph, normed)
  const wide = f32Bytes * rows * used * length
  const matrix = () => (borrowedBytes > 0 ? [step(graph, borrowedBytes, [])] : [])
  const gate = step(graph, wide, [each, chosen, ...matrix()])
  const up = step(graph, wide, [each, chosen, ...matrix()])
  const outputBytes = f32Bytes * rows * shape.embeddingLength
  const down = step(graph, outputBytes * used, [step(graph, wide, [gate, up]), chosen, ...matrix()])
  const weighted = step(graph, down.bytes, [down, weights], { inplace: true })
  const views = Array.from({ length: used }, () => view(graph, weighted, outputBytes))
  const [first = weighted, ...more] = views
  if (more.length === 0) return step(graph, outputBytes, [first])
  return more.reduce(
    (sum, next, index) => step(graph, outputBytes, [sum, next], { inplace: index > 0 }),
    first,
  )
}

function head(sizes: Sizes, hidden: Tensor): void {
  const { graph, shape, outputs, embedding } = sizes
  const normed = norm(graph, hidden)
  if (embedding) step(graph, hidden.bytes, [normed], { role: 'output' })
  else step(graph, f32Bytes * outputs * shape.vocabularySize, [normed], { role: 'output' })
}
