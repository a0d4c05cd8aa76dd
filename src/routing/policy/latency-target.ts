/**
 * Most likely to give the first token in time.
 *
 *     budget = deadline - now
 *     chance = health * Φ(ln(budget / predicted TTFT) / spread)
 *     score  = predicted_finish + missedMs * (1 - chance)
 *
 * Milliseconds; constants in `tuning.ts`. The time to first token is taken as log-normal around its prediction: late
 * by a factor is as likely as early by it, and never below zero. `spread` is its standard deviation, wider where rates
 * are not measured. Equal chances (all of them once the deadline has passed) are told apart by the predicted finish;
 * a request without a deadline goes by that alone. Φ is the approximation 26.2.17 of Abramowitz and Stegun, exact to
 * 1e-7. Linear in the candidates, one sort.
 */
import type { Candidate, Policy } from './contract.ts'
import { fact, predict } from './costs.ts'
import { inOrder, scored } from './order.ts'
import { finishScores } from './predicted-finish.ts'
import { tuning } from './tuning.ts'

export const latencyTarget: Policy = {
  name: 'latency_target',
  about: 'The one most likely to give the first token before the deadline; without one, as predicted_finish.',
  unit: 'ms',
  rank: (request, candidates, { nowMs, fleet }) => {
    const budgetMs = request.deadlineMs === undefined ? undefined : request.deadlineMs - nowMs
    return inOrder(
      finishScores(request, candidates, fleet).map((finish) => {
        const { candidate } = finish
        if (budgetMs === undefined) return finish
        const chance = chanceInTime(predict(request, candidate).ttftMs, budgetMs, candidate)
        return scored(candidate, { ...finish.terms, risk: tuning.missedMs * (1 - chance) })
      }),
    )
  },
}

/** From 0 to 1. */
function chanceInTime(ttftMs: number, budgetMs: number, { health, rates }: Candidate): number {
  if (!(budgetMs > 0)) return 0
  const inTime = ttftMs > 0 ? normalCdf(Math.log(budgetMs / ttftMs) / tuning.spread[rates.source]) : 1
  return inTime * Math.min(1, fact(health))
}

function normalCdf(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z))
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)
  const tail =
    density * t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return z > 0 ? 1 - tail : tail
}
