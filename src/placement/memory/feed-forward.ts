import { type Graph, step, type Tensor, view } from './allocator.ts'
import { f32Bytes, i32Bytes, type Sizes } from './graph-sizes.ts'
import { expertMatrixBytes } from './layers.ts'

/** The feed-forward part of a layer over `rows` tokens: dense, or experts and what all tokens share. */
export function feedForward(sizes: Sizes, normed: Tensor, layer: number, rows: number): Tensor {
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
