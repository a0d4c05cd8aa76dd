import type { Candidate, Rates } from './contract.ts'
import { decodeStepMs, fact, prefillMs } from './costs.ts'
import { tuning } from './tuning.ts'

/**
 * Rates without the scatter of measuring them: instances whose decoding steps (or prefill) are within `ratesWithin` of
 * each other count as equally fast, by the means of all of them.
 *
 * Equal devices never measure alike: what else an instance did meanwhile is in every figure. A decision compares, and
 * a few milliseconds a step make seconds over an answer, so scatter would outweigh what does differ, the load; and as
 * an instance with little to do is measured less often, it would keep the figure that drives requests away from it.
 * Linear in the candidates, `n log n` where they differ.
 */
export function evenRates(candidates: readonly Candidate[]): Rates[] {
  const running = candidates.reduce((sum, candidate) => sum + fact(candidate.running), 0)
  const batch = Math.max(1, running / Math.max(1, candidates.length))
  const decode = groupsOf(candidates.map((candidate) => decodeStepMs(batch, candidate)))
  const prefill = groupsOf(candidates.map((candidate) => prefillMs(1000, candidate)))
  const bases = meansOf(candidates, decode, ({ rates }) => fact(rates.decodeBaseMs))
  const perRequests = meansOf(candidates, decode, ({ rates }) => fact(rates.decodePerRequestMs))
  const prefills = meansOf(candidates, prefill, ({ rates }) => fact(rates.prefillTokensPerS))
  return candidates.map(({ rates }, at) => ({
    prefillTokensPerS: prefills[prefill[at] ?? 0] ?? 0,
    decodeBaseMs: bases[decode[at] ?? 0] ?? 0,
    decodePerRequestMs: perRequests[decode[at] ?? 0] ?? 0,
    loadMs: rates.loadMs,
    source: rates.source,
  }))
}

/** Which values go together, by numbers from 0: from the least on, a group ends at `ratesWithin` times its first. */
function groupsOf(values: readonly number[]): number[] {
  let least = Number.POSITIVE_INFINITY
  let most = 0
  for (const value of values) {
    least = Math.min(least, value)
    most = Math.max(most, value)
  }
  if (most <= least * tuning.ratesWithin) return values.map(() => 0)
  const ends: number[] = []
  let end = Number.NEGATIVE_INFINITY
  for (const value of values.toSorted((a, b) => a - b)) {
    if (value <= end) continue
    end = value * tuning.ratesWithin
    ends.push(end)
  }
  return values.map((value) => ends.findIndex((last) => value <= last))
}

/** By the number of the group. */
function meansOf(
  candidates: readonly Candidate[],
  groups: readonly number[],
  of: (candidate: Candidate) => number,
): number[] {
  const sums: number[] = []
  const counts: number[] = []
  for (const [at, candidate] of candidates.entries()) {
    const group = groups[at] ?? 0
    sums[group] = (sums[group] ?? 0) + of(candidate)
    counts[group] = (counts[group] ?? 0) + 1
  }
  return sums.map((sum, group) => sum / (counts[group] ?? 1))
}
