import { createGate, patience } from './gate.ts'

/** Observations that a mean or a line remembers: an n-th one counts `(1 - 1/memory)^n`. */
export const memory = 12
/** What an instance takes over from those like it counts as so many of its own observations. */
export const seedWeight = 2
/** Below this an observation is too weak to confirm a change. */
export const leastWitness = 0.05

/** A mean of positive values that forgets and is not moved by outliers. */
export interface RunningMean {
  /** Meaningless while `weight` is 0. */
  readonly value: number
  /** How much was observed, in full observations; at most `memory`. */
  readonly weight: number
  /** `weight` from 0 to 1: how much the observation tells. */
  learn(value: number, weight: number): void
}

/** Begins where `seed`, if it knows anything, stands at the first observation. */
export function createRunningMean(seed?: RunningMean): RunningMean {
  const judge = createGate()
  let mean = 0
  let known = 0

  function add(value: number, weight: number): void {
    mean += ((value - mean) * weight) / (known + weight)
    known = Math.min(memory, known + weight)
  }

  return {
    get value() {
      return mean
    },
    get weight() {
      return known
    },
    learn(value, weight) {
      if (known === 0 && seed && seed.weight > 0) {
        mean = seed.value
        known = Math.min(seed.weight, seedWeight)
      }
      // Much weaker evidence than the new observation has no right to call it an outlier.
      if (2 * known < weight) return add(value, weight)
      const judged = judge(value / mean, weight >= leastWitness)
      if (judged.verdict === 'wait') return
      if (judged.verdict === 'learn') return add(value, weight)
      mean *= judged.factor
      known = Math.min(known, patience)
    },
  }
}
