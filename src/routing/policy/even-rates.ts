import type { Candidate } from './contract.ts'
import { decodeStepMs, fact, prefillMs, type Speed } from './costs.ts'
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
export function evenRates(candidates: readonly Candidate[]): Speed[] {
  const batch = Math.max(1, meanRunning(candidates))
  const decode = groupsOf(candidates.map(({ rates }) => decodeStepMs(batch, rates)))
  const prefill = groupsOf(candidates.map(({ rates }) => prefillMs(1000, rates)))
  const meanDecode = meansOf(candidates, decode)
  const meanPrefill = meansOf(candidates, prefill)
  if (!decode && !prefill) {
    const [all] = meanDecode
    return candidates.map(({ rates }) => all ?? rates)
  }
  return candidates.map(({ rates }, at) => ({
    ...(meanDecode[decode?.[at] ?? 0] ?? rates),
    prefillTokensPerS: (meanPrefill[prefill?.[at] ?? 0] ?? rates).prefillTokensPerS,
  }))
}

function meanRunning(candidates: readonly Candidate[]): number {
  let running = 0
  for (const candidate of candidates) running += fact(candidate.running)
  return running / Math.max(1, candidates.length)
}

/**
 * Which values go together, by numbers from 0: from the least on, a group ends at `ratesWithin` times its first.
 * Undefined where all are one group, as those of alike devices are.
 */
function groupsOf(values: readonly number[]): number[] | undefined {
  let least = Number.POSITIVE_INFINITY
  let most = 0
  for (const value of values) {
    least = Math.min(least, value)
    most = Math.max(most, value)
  }
  if (most <= least * tuning.ratesWithin) return undefined
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
function meansOf(candidates: readonly Candidate[], groups: readonly number[] | undefined): Speed[] {
  const sums: { speed: Speed; count: number }[] = []
  for (let at = 0; at < candidates.length; at++) {
    const { rates } = candidates[at] as Candidate
    const group = groups?.[at] ?? 0
    const { speed, count } = sums[group] ?? none
    sums[group] = { speed: sumOf(speed, rates), count: count + 1 }
  }
  return sums.map(({ speed, count }) => ({
    prefillTokensPerS: speed.prefillTokensPerS / count,
    decodeBaseMs: speed.decodeBaseMs / count,
    decodePerRequestMs: speed.decodePerRequestMs / count,
  }))
}

const none = { speed: { prefillTokensPerS: 0, decodeBaseMs: 0, decodePerRequestMs: 0 }, count: 0 }

function sumOf(sum: Speed, rates: Speed): Speed {
  return {
    prefillTokensPerS: sum.prefillTokensPerS + fact(rates.prefillTokensPerS),
    decodeBaseMs: sum.decodeBaseMs + fact(rates.decodeBaseMs),
    decodePerRequestMs: sum.decodePerRequestMs + fact(rates.decodePerRequestMs),
  }
}
