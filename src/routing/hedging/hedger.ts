import { createHistogram, createRecent, type Histogram } from '../prediction/index.ts'
import type { HedgeOptions, Hedger } from './contract.ts'

export const defaultHedgeOptions: HedgeOptions = {
  enabled: false,
  // Rarer than `maxShare`: what is late every day leaves something for a bad one.
  quantile: 0.99,
  maxShare: 0.02,
  classes: ['interactive'],
}

/** Models whose waits are remembered, the last ones used, and how many waits of each. */
export const hedgeLimits = { models: 256, waits: 500 }
/** Fewer waits than this say nothing about their 99th percentile. */
const enough = 20
/** Second tries that are saved up at most, so that a quiet day does not pay for a storm. */
const savedUp = 5

/**
 * Hedged requests after Dean and Barroso, The Tail at Scale, 2013: deferred until the request is later than 99 % of them,
 * and at most one in fifty. What was cut off by a second try that won counts as longer than it was; otherwise the
 * quantile would sink with every success.
 */
export function createHedger(options: Partial<HedgeOptions> = {}): Hedger {
  const { enabled, quantile, maxShare, classes } = { ...defaultHedgeOptions, ...options }
  const waits = createRecent<string, Histogram>(hedgeLimits.models)
  let share = 0

  return {
    arrived() {
      share = Math.min(savedUp, share + maxShare)
    },
    delayMs(model, priority) {
      if (!enabled || !classes.includes(priority)) return undefined
      const seen = waits.peek(model)
      return seen && seen.weight >= enough ? seen.quantile(quantile) : undefined
    },
    start() {
      // Fiftieths do not add up to whole numbers exactly.
      if (!enabled || share < 1 - 1e-9) return false
      share -= 1
      return true
    },
    observe(model, ttftMs, cutOff = false) {
      if (!enabled || !(ttftMs >= 0)) return
      const seen = waits.use(model, () => createHistogram(hedgeLimits.waits))
      if (cutOff) seen.addAtLeast(ttftMs)
      else seen.add(ttftMs)
    },
  }
}
