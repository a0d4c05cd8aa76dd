import { type ModelShape, tensorBytes } from '../../models/index.ts'
import type { RunShape } from '../contract.ts'
import { createGraph, type Graph, input, step, type Tensor, view } from './allocator.ts'
import { attention, latentAttention, projected } from './attention.ts'
import { feedForward } from './feed-forward.ts'
import {
  type CacheInputs,
  f32Bytes,
  type Inputs,
  i32Bytes,
  i64Bytes,
  norm,
  normApart,
  type Sizes,
} from './graph-sizes.ts'
import {
  hasCache,
  isSliding,
  padContext,
  physicalBatch,
  reservedTokens,
  valueTypeOf,
  windowCells,
} from './kv-cache.ts'
import { layersOf } from './layers.ts'
import { recurrentStep } from './recurrence.ts'

/*
 * The computation of a batch as llama.cpp builds it (`llm_graph_context`, `src/models/*.cpp`), as far as results take
 * memory: sizes, order, and what each step still needs. Weights and caches have buffers of their own and are left out.
 */

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

/** The computation of a whole batch over a part of a model. */
export function graphOf(shape: ModelShape, run: RunShape, embedding: boolean, part: GraphPart): Graph {
  const graph = createGraph(part.copies)
  const tokens = reservedTokens(run)
  const all = physicalBatch(run)
  const outputs = embedding || run.batchLogits ? all : Math.min(all, run.slots)
  const width = f32Bytes * tokens * shape.embeddingLength
  const places = shape.norms === 'sums' && part.begins !== 'hidden' && part.layers.length > 0
  const rows = places ? step(graph, width, [input(graph, i32Bytes * tokens)]) : undefined
  let hidden = beginning(graph, part.begins, tokens, width)
  const inputs = inputsOf(graph, shape, run, { tokens, outputs, layers: part.layers, embedding })
  if (rows) hidden = placed(graph, hidden, rows)
  const { borrowsExperts = false } = part
  const common = { graph, shape, run, tokens, outputs, embedding, inputs }
  const sizes: Sizes = { ...common, borrowsExperts, layers: layersOf(shape) }
  for (const layer of part.layers) {
    hidden = layerOf(sizes, hidden, layer, part.ends && layer === part.layers.at(-1))
  }
  if (part.ends && embedding) pool(sizes, hidden)
  else if (part.ends) head(sizes, hidden)
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
  const known = () => input(graph, here ? i32Bytes * tokens : width)
  const asTokens = known()
  if (here) input(graph, width)
  const asMixedTokens = known()
  const slots = input(graph, i64Bytes * tokens)
  const mixedEmbeddings = input(graph, width)
  const lookUp = (from: Tensor) => (here ? step(graph, width, [from]) : from)
  const hidden = lookUp(asTokens)
  const looked = lookUp(asMixedTokens)
  if (begins === 'lookup') return hidden
  const mixed = step(graph, width, [mixedEmbeddings])
  // Nothing reads this one, so its memory is never given back.
  view(graph, mixed, width, [looked, slots])
  return hidden
}

/** BERT's embeddings: with `rows` for their places, and a norm of both. */
function placed(graph: Graph, hidden: Tensor, rows: Tensor): Tensor {
  const typed = step(graph, hidden.bytes, [hidden], { inplace: true })
  return normApart(graph, step(graph, hidden.bytes, [rows, typed], { inplace: true }))
}

/** A kind of cache that no layer here uses has no inputs; where there are no layers, inputs are kept for all of them. */
function inputsOf(
  graph: Graph,
  shape: ModelShape,
  run: RunShape,
  {
    tokens,
    outputs,
    layers,
    embedding,
  }: { tokens: number; outputs: number; layers: readonly number[]; embedding: boolean },
): Inputs {
  const positions = input(graph, shape.tabledPositions ? 0 : i32Bytes * tokens)
  const here = layers.length > 0 ? layers : shape.headCountKv.map((_, layer) => layer)
  const attending = here.filter((layer) => (shape.headCountKv[layer] ?? 0) > 0)
  const inputsFor = (sliding: boolean, cells: number) =>
    attending.some((layer) => isSliding(shape, layer) === sliding)
      ? cacheInputs(graph, shape, run, tokens, cells)
      : noCache(graph)
  const whole = inputsFor(false, padContext(hasCache(shape) ? run.contextLength : tokens))
  const window = inputsFor(true, windowCells(shape.slidingWindow ?? 0, run))
  const rows = input(graph, i32Bytes * outputs)
  const shares = input(graph, embedding ? f32Bytes * tokens * run.slots : 0)
  return { positions, whole, window, outputs: rows, shares }
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
  const rows = hasCache(shape) ? i64Bytes * tokens : 0
  const rotation = (type: string, headLength: number, smallest: boolean) =>
    hasCache(shape) ? rotationBytes(type, headLength, smallest) : 0
  const keyRotation = rotation(run.kvCacheType, shape.keyLength, false)
  const valueRotation = rotation(valueTypeOf(run), shape.valueLength, true)
  return {
    keyRows: input(graph, rows),
    // Crosswise values are stored one by one.
    valueRows: input(graph, rows * (flash ? 1 : widest)),
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
  const normed = shape.norms ? hidden : norm(graph, hidden)
  const { feedForwardLength = 0, expertCount = 0 } = sizes.layers[layer] ?? {}
  if (shape.parallelLayers && projectsLast.has(shape.architecture)) {
    return besideAttention(sizes, hidden, normed, layer, last)
  }
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
  if (shape.norms === 'sums') {
    const summed = normApart(graph, between)
    const computed = feedForward(sizes, summed, layer, rows)
    return normApart(graph, step(graph, width(rows), [computed, summed], { inplace: true }))
  }
  const computed = feedForward(sizes, shape.norms ? between : norm(graph, between), layer, rows)
  return step(graph, width(rows), [computed, between], { inplace: true })
}

/** Architectures that project what was attended after they have added the feed-forward part to their input. */
const projectsLast = new Set(['cohere2', 'command-r'])

function besideAttention(sizes: Sizes, hidden: Tensor, normed: Tensor, layer: number, last: boolean): Tensor {
  const { graph, inputs, shape, outputs, tokens } = sizes
  const width = f32Bytes * (last ? outputs : tokens) * shape.embeddingLength
  const pick = (of: Tensor) => (last ? step(graph, width, [of, inputs.outputs]) : of)
  const heads = attention(sizes, normed, layer)
  const computed = feedForward(sizes, pick(normed), layer, last ? outputs : tokens)
  const summed = step(graph, width, [computed, pick(hidden)], { inplace: true })
  return step(graph, width, [summed, pick(projected(sizes, heads, layer))], { inplace: true })
}

/** What a layer draws from the tokens before: by attention, by a state, or (Falcon-H1) by both side by side. */
function lookBack(sizes: Sizes, normed: Tensor, layer: number): Tensor {
  const { graph, shape } = sizes
  const { recurrent, latent, headCountKv } = shape
  if (recurrent && headCountKv[layer] === 0) return recurrentStep(sizes, normed, recurrent)
  const heads = latent ? latentAttention(sizes, normed, latent) : attention(sizes, normed, layer)
  const attended = projected(sizes, heads, layer)
  if (!recurrent || headCountKv.includes(0)) return attended
  const carried = recurrentStep(sizes, normed, recurrent)
  return step(graph, attended.bytes, [attended, carried], { inplace: true })
}

function head(sizes: Sizes, hidden: Tensor): void {
  const { graph, shape, outputs } = sizes
  step(graph, f32Bytes * outputs * shape.vocabularySize, [norm(graph, hidden)], { role: 'output' })
}

/** The mean of each text's hidden states, which are kept. */
function pool({ graph, shape, run, inputs }: Sizes, hidden: Tensor): void {
  const normed = norm(graph, hidden)
  const crosswise = step(graph, hidden.bytes, [view(graph, normed)], { role: 'output' })
  step(graph, f32Bytes * run.slots * shape.embeddingLength, [crosswise, inputs.shares], { role: 'output' })
}
