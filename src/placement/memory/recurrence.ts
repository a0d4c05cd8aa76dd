import type { ModelShape } from '../../models/index.ts'
import { step, type Tensor, view } from './allocator.ts'
import { f32Bytes, type Sizes } from './graph-sizes.ts'

/** A layer of Mamba's kind: a convolution over the last tokens, and a scan that carries a state along. */
export function recurrentStep(
  { graph, shape, run, tokens }: Sizes,
  normed: Tensor,
  recurrent: NonNullable<ModelShape['recurrent']>,
): Tensor {
  const { width, convolved, convolution, state } = recurrent
  if (state === 0) return shortConvolution({ graph, run, tokens }, normed, recurrent)
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
  // The states of all sequences but one may have to move.
  const others = step(graph, f32Bytes * (run.slots - 1) * state, [])
  step(graph, 0, [view(graph, others)])
  step(graph, 0, [view(graph, scanned, f32Bytes * run.slots * state)])
  const skipped = step(graph, bytesOf(width), [smooth], { inplace: width === convolved })
  const summed = step(graph, bytesOf(width), [view(graph, scanned, bytesOf(width)), skipped], {
    inplace: true,
  })
  const gated = step(graph, bytesOf(width), [step(graph, bytesOf(width), [gate]), summed])
  return view(graph, step(graph, bytesOf(shape.embeddingLength), [gated]))
}

/** A layer of LFM2's kind: a convolution over the last tokens, gated before and after. */
function shortConvolution(
  { graph, run, tokens }: Pick<Sizes, 'graph' | 'run' | 'tokens'>,
  normed: Tensor,
  { width, convolution }: NonNullable<ModelShape['recurrent']>,
): Tensor {
  const bytes = f32Bytes * tokens * width
  const kept = step(graph, f32Bytes * run.slots * convolution * width, [])
  const three = step(graph, 3 * bytes, [view(graph, normed)])
  const before = step(graph, bytes, [view(graph, three, bytes), view(graph, three, bytes)])
  const joined = step(graph, kept.bytes + bytes, [view(graph, kept), view(graph, before)])
  step(graph, 0, [view(graph, joined, kept.bytes)])
  const smooth = step(graph, bytes, [joined])
  const gated = step(graph, bytes, [smooth, view(graph, three, bytes)], { inplace: true })
  return view(graph, step(graph, bytes, [gated]))
}
