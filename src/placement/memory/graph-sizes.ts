import type { LayerShape, ModelShape } from '../../models/index.ts'
import type { RunShape } from '../contract.ts'
import { type Graph, step, type Tensor } from './allocator.ts'

export const f32Bytes = 4
export const f16Bytes = 2
export const i32Bytes = 4
export const i64Bytes = 8

/** What the steps of a layer are laid out from. */
export interface Sizes {
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

/** What is known before anything is computed. */
export interface Inputs {
  positions: Tensor
  outputs: Tensor
  /** What each token counts for in the mean of its text, of a model that embeds. */
  shares: Tensor
  /** By kind of cache: the mask of its cells, where rows are stored, what rotates them. */
  whole: CacheInputs
  window: CacheInputs
}

/** The inputs of attention to a kind of cache. */
export interface CacheInputs {
  mask: Tensor
  keyRows: Tensor
  valueRows: Tensor
  keyRotation?: Tensor
  valueRotation?: Tensor
}

/** A norm (of BERT's kind) that cannot be computed over what it reads, and its scale. */
export function normApart(graph: Graph, of: Tensor): Tensor {
  return step(graph, of.bytes, [step(graph, of.bytes, [of])], { inplace: true })
}

/** A norm and its scale, over `of` where nothing else needs it. */
export function norm(graph: Graph, of: Tensor): Tensor {
  const scaled = step(graph, of.bytes, [of], { inplace: true })
  return step(graph, of.bytes, [scaled], { inplace: true })
}
