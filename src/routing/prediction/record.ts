import type { Outcome, PredictionError, Predictor } from './contract.ts'
import { createRecent } from './recent.ts'

/** Outcomes remembered of each model, and models. An outcome takes 20 bytes. */
export const recordLimits = { outcomes: 1000, models: 128 }

/** Where an error relative to almost nothing is cut off, so that means and sums stay finite. */
const largestRatio = 1e6
const columns = ['ttft', 'finish', 'outputTokens', 'ttftRatio', 'finishRatio'] as const

type Column = (typeof columns)[number]

/** The last outcomes, oldest overwritten. */
interface Ring {
  rows: Float32Array
  added: number
}

/** What was foretold, against what came. */
export type PredictionRecord = Pick<Predictor, 'record' | 'errors'>

/**
 * Keeps the last outcomes of each model, and of all models together. Times below a millisecond count as one, answers
 * below a token as one. Outcomes that are no numbers are left out.
 */
export function createRecord(limits = recordLimits): PredictionRecord {
  const models = createRecent<string, Ring>(limits.models)
  const all = createRing(limits.outcomes)

  return {
    record(outcome) {
      const row = rowOf(outcome)
      if (!row) return
      push(all, row)
      push(
        models.use(outcome.model, () => createRing(limits.outcomes)),
        row,
      )
    },
    errors() {
      const errors = new Map<string, PredictionError>()
      if (all.added > 0) errors.set('', summary(all))
      for (const [model, ring] of models.entries()) errors.set(model, summary(ring))
      return errors
    },
  }
}

function createRing(outcomes: number): Ring {
  return { rows: new Float32Array(outcomes * columns.length), added: 0 }
}

function push(ring: Ring, row: readonly number[]): void {
  ring.rows.set(row, (ring.added * columns.length) % ring.rows.length)
  ring.added += 1
}

/** In the order of `columns`. */
function rowOf({ predicted, actual }: Outcome): number[] | undefined {
  const ttft = ratio(predicted.ttftMs, actual.ttftMs)
  const finish = ratio(predicted.finishMs, actual.finishMs)
  const outputTokens = ratio(predicted.outputTokens, actual.outputTokens)
  const row = [Math.abs(ttft - 1), Math.abs(finish - 1), Math.abs(outputTokens - 1), ttft, finish]
  return row.every(Number.isFinite) ? row : undefined
}

function ratio(predicted: number, actual: number): number {
  return Math.min(largestRatio, Math.max(1, predicted) / Math.max(1, actual))
}

function summary(ring: Ring): PredictionError {
  return {
    requests: Math.min(ring.added, ring.rows.length / columns.length),
    ttft: percentiles(valuesOf(ring, 'ttft')),
    finish: percentiles(valuesOf(ring, 'finish')),
    outputTokens: percentiles(valuesOf(ring, 'outputTokens')),
    ttftBias: mean(valuesOf(ring, 'ttftRatio')),
    finishBias: mean(valuesOf(ring, 'finishRatio')),
  }
}

function valuesOf({ rows, added }: Ring, column: Column): Float32Array {
  const width = columns.length
  const offset = columns.indexOf(column)
  const values = new Float32Array(Math.min(added, rows.length / width))
  for (let row = 0; row < values.length; row++) values[row] = rows[row * width + offset] ?? 0
  return values
}

/** By nearest rank. */
function percentiles(values: Float32Array): { p50: number; p90: number } {
  const sorted = values.sort()
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
  return { p50: at(0.5), p90: at(0.9) }
}

function mean(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
