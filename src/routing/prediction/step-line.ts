import { createGate, patience } from './gate.ts'
import { leastWitness, memory, seedWeight } from './running-mean.ts'

/** A line through the origin's neighbourhood: `base + perRequest * batch`. */
export interface Step {
  base: number
  perRequest: number
}

/** How much the prior share counts against what was seen of different batches. */
const priorStrength = 0.5

/** How long a decoding step takes at which batch. */
export interface StepLine {
  /** Meaningless while `weight` is 0; neither of the two is ever negative. */
  readonly step: Step
  /** How much was observed, in full observations; at most `memory`. */
  readonly weight: number
  readonly sums: Sums
  /** One step took so long with so many requests. `weight` from 0 to 1. */
  learn(value: number, batch: number, weight: number): void
}

/** Decayed sums over observations of batch `b` and step `y`. */
interface Sums {
  w: number
  b: number
  bb: number
  y: number
  by: number
}

/**
 * Learns a step by least squares with exponential forgetting: what recursive least squares computes, kept as the five
 * sums of the two normal equations, which stay exact and cannot wind up while the batch does not vary.
 *
 * What the data leaves open is closed by a prior: `priorStrength` times the squared distance of (base, perRequest) from
 * the ray `perRequest = share * base` is added to what is minimised. With one batch only, the line goes through its mean with exactly that share; with several, the data wins.
 *
 * `share`: of `perRequest` in `base`, where nothing is known.
 */
export function createStepLine(share: number, seed?: StepLine): StepLine {
  const judge = createGate()
  let sums: Sums = { w: 0, b: 0, bb: 0, y: 0, by: 0 }
  let step: Step = { base: 0, perRequest: 0 }

  function add(value: number, batch: number, told: number): void {
    const weight = told * evened(sums, step, batch)
    const kept = scaled(sums, Math.min(1, memory / (sums.w + weight)))
    sums = {
      w: kept.w + weight,
      b: kept.b + weight * batch,
      bb: kept.bb + weight * batch * batch,
      y: kept.y + weight * value,
      by: kept.by + weight * batch * value,
    }
    step = solve(sums, share)
  }

  return {
    get step() {
      return step
    },
    get weight() {
      return sums.w
    },
    get sums() {
      return sums
    },
    learn(value, batch, weight) {
      if (sums.w === 0 && seed && seed.weight > 0) {
        sums = scaled(seed.sums, Math.min(1, seedWeight / seed.weight))
        step = solve(sums, share)
      }
      // A batch unlike those before is news, not a surprise: nobody knows yet what the line does there.
      if (2 * sums.w < weight || !familiar(sums, batch)) return add(value, batch, weight)
      const judged = judge(value / (step.base + step.perRequest * batch), weight >= leastWitness)
      if (judged.verdict === 'wait') return
      if (judged.verdict === 'learn') return add(value, batch, weight)
      const fewer = scaled(sums, Math.min(1, patience / sums.w))
      sums = { ...fewer, y: fewer.y * judged.factor, by: fewer.by * judged.factor }
      step = solve(sums, share)
    },
  }
}

function scaled(sums: Sums, by: number): Sums {
  return { w: sums.w * by, b: sums.b * by, bb: sums.bb * by, y: sums.y * by, by: sums.by * by }
}

/**
 * Errors are proportional to the step, so a short step tells more than a long one: the squares of both compared, within
 * a factor of four.
 */
function evened(sums: Sums, step: Step, batch: number): number {
  if (sums.w === 0) return 1
  const ratio = sums.y / sums.w / (step.base + step.perRequest * batch)
  return Math.min(4, Math.max(0.25, ratio * ratio))
}

/** Whether the batch lies within two standard deviations of those seen, or close to it. */
function familiar(sums: Sums, batch: number): boolean {
  const mean = sums.b / sums.w
  const deviation = Math.sqrt(Math.max(0, sums.bb / sums.w - mean * mean))
  return Math.abs(batch - mean) <= 2 * deviation + Math.max(1, mean / 4)
}

/** The normal equations, and what is left of them where a negative base or slope would come out. */
function solve(sums: Sums, share: number): Step {
  const strength = priorStrength / (1 + share * share)
  const ww = sums.w + strength * share * share
  const wb = sums.b - strength * share
  const bb = sums.bb + strength
  const determinant = ww * bb - wb * wb
  const base = (sums.y * bb - sums.by * wb) / determinant
  const perRequest = (sums.by * ww - sums.y * wb) / determinant
  if (!(perRequest >= 0)) return { base: sums.y / sums.w, perRequest: 0 }
  if (!(base >= 0)) return { base: 0, perRequest: sums.by / sums.bb }
  return { base, perRequest }
}
