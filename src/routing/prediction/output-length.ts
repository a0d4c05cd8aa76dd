import type { Predictor, RequestShape } from './contract.ts'
import { known } from './guess.ts'
import { createHistogram, type Histogram, largestValue } from './histogram.ts'
import { createRecent } from './recent.ts'

/** How many histograms are kept, of 1.3 kB each; what was added to longest ago makes room. */
export const lengthLimits = { tenantShapes: 2048, shapes: 1024, models: 256 }

/** Answers that a histogram remembers: the n-th last counts `0.99^n`. */
const memory = 100
/** So many answers are evidence enough; what is missing to them is filled up from the next rung. */
const enough = 3
/** The length of an answer of which nothing is known. */
export const usualOutputTokens = 256

/** How long answers get, by what came before. */
export interface OutputLengths extends Pick<Predictor, 'outputTokens' | 'remainingTokens'> {
  observe(shape: RequestShape, outputTokens: number): void
}

/**
 * Lengths of answers by this tenant's requests of the same shape, by everybody's of that shape, by all of the model, and
 * by a constant: each rung fills up what the one before has too few answers of.
 *
 * What is to come of an answer that has `s` tokens is the mean of `min(length, maxTokens) - s` over the answers that
 * were longer than `s`. Beyond the longest of them, half as much again as it has is expected: the residual life of a
 * heavy tail (Lomax with shape 3).
 */
export function createOutputLengths(limits = lengthLimits): OutputLengths {
  const tenantShapes = createRecent<string, Histogram>(limits.tenantShapes)
  const shapes = createRecent<string, Histogram>(limits.shapes)
  const models = createRecent<string, Histogram>(limits.models)
  /** A request is asked about many times while it runs; its shape does not change. */
  const keys = new WeakMap<RequestShape, Keys>()

  function keysOf(shape: RequestShape): Keys {
    let found = keys.get(shape)
    if (!found) {
      found = keysFor(shape)
      keys.set(shape, found)
    }
    return found
  }

  function remainingTokens(shape: RequestShape, soFar: number): number {
    const { byTenant, byShape } = keysOf(shape)
    const rungs = [tenantShapes.peek(byTenant), shapes.peek(byShape), models.peek(shape.model)]
    const already = Math.min(largestValue, soFar > 0 ? Math.floor(soFar) : 0)
    const limit = limitOf(shape)
    // Within a bucket lengths are only known roughly; the limit is known exactly.
    return Math.max(1, Math.min(meanLeft(rungs, 0, already, limit), limit - already))
  }

  return {
    remainingTokens,
    outputTokens: (shape) => remainingTokens(shape, 0),
    observe(shape, outputTokens) {
      if (!(outputTokens >= 0)) return
      const { byTenant, byShape } = keysOf(shape)
      const rungs = [
        tenantShapes.use(byTenant, () => createHistogram(memory)),
        shapes.use(byShape, () => createHistogram(memory)),
        models.use(shape.model, () => createHistogram(memory)),
      ]
      const cutOff = outputTokens >= limitOf(shape)
      for (const lengths of rungs) {
        if (cutOff) lengths.addAtLeast(outputTokens)
        else lengths.add(outputTokens)
      }
    },
  }
}

/** From this rung on: the mean of what was still to come, with the next rung for as much evidence as is missing. */
function meanLeft(
  rungs: readonly (Histogram | undefined)[],
  rung: number,
  soFar: number,
  limit: number,
): number {
  if (rung === rungs.length) return unseen(rungs.at(-1), soFar)
  const lengths = rungs[rung]
  const longer = lengths?.weightAbove(soFar) ?? 0
  if (!lengths || longer <= 0) return meanLeft(rungs, rung + 1, soFar, limit)
  const total = sumUpTo(lengths, soFar, limit) - soFar * longer
  if (longer >= enough) return total / longer
  return (total + (enough - longer) * meanLeft(rungs, rung + 1, soFar, limit)) / enough
}

/** The sum of min(length, limit) over what is longer than `soFar`. */
function sumUpTo(lengths: Histogram, soFar: number, limit: number): number {
  if (limit >= largestValue) return lengths.sumAbove(soFar)
  if (limit <= soFar) return limit * lengths.weightAbove(soFar)
  return lengths.sumAbove(soFar) - lengths.sumAbove(limit) + limit * lengths.weightAbove(limit)
}

/** Beyond all that was seen of the model, or where nothing was seen of it yet. */
function unseen(ofModel: Histogram | undefined, soFar: number): number {
  const unknown = Math.max(0, 1 - (ofModel?.weight ?? 0) / enough)
  return usualOutputTokens * unknown + soFar / 2
}

interface Keys {
  byShape: string
  byTenant: string
}

/** Prompts are alike whose lengths have the same power of two. */
function keysFor({ model, tenant, kind, promptTokens, tools, format, thinking }: RequestShape): Keys {
  const octave = Math.floor(Math.log2(Math.max(1, known(promptTokens) ? promptTokens : 1)))
  const flags = `${tools ? 't' : ''}${format ? 'f' : ''}${thinking ? 'k' : ''}`
  const byShape = `${model}\0${kind}\0${octave}\0${flags}`
  return { byShape, byTenant: `${byShape}\0${tenant}` }
}

/** Zero and below mean no limit, as `num_predict` of -1 does. */
function limitOf({ maxTokens }: RequestShape): number {
  return known(maxTokens) ? Math.min(largestValue, Math.floor(maxTokens) || 1) : largestValue
}
