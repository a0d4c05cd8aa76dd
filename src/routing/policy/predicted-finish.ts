/**
 * Where the request, and everybody else, is finished first.
 *
 *     own    = loading + slot wait + (queued + uncached) / prefill rate + restore + network
 *            + output * decode step(batch + 1) * decodeShare + pressure
 *     others = anew / prefill rate * weight
 *     anew   = most cached by any candidate - cached
 *     score  = (own + others) / health
 *     weight = min(othersIdle + othersPerWaiting * waiting + othersPerDecoding * decoding, othersMost),
 *              by the means of all candidates, or by the candidate itself where that is less
 *
 * Milliseconds; constants in `tuning.ts`, rates evened out (`even-rates.ts`). `others` is what the request costs
 * everybody else where it computes anew what another instance holds: a millisecond of computing is one more for each
 * who waits for that instance meanwhile. `waiting` and `decoding` are the mean numbers per candidate of requests
 * without and with a first token; they estimate how many those are (by Little's law, the rate at which requests come
 * times how long they stay). With an idle fleet a request goes where itself is fastest; with a busy one it goes to its
 * cache, unless the queue there costs more than is saved for everybody.
 *
 * Unknown: a rate counts as slow, a cache as empty, every other cost as none. `n log n` in the candidates.
 */
import type { Candidate, Policy, PolicyContext, Ranked, RouteRequest } from './contract.ts'
import { fact, failureMs, predict, prefillMs, pressureMs, type Speed } from './costs.ts'
import { evenRates } from './even-rates.ts'
import { inOrder, scored } from './order.ts'
import { tuning } from './tuning.ts'

export const predictedFinish: Policy = {
  name: 'predicted_finish',
  about: 'Where it is predicted to finish first, what it costs the others included.',
  unit: 'ms',
  rank: (request, candidates, { fleet }) => inOrder(finishScores(request, candidates, fleet)),
}

/** Every candidate's score, in the order in which they come. */
export function finishScores(
  request: RouteRequest,
  candidates: readonly Candidate[],
  fleet: PolicyContext['fleet'] = meansOf(candidates),
): Ranked[] {
  const weight = Math.min(weightOf(fleet), tuning.othersMost)
  let mostCached = 0
  for (const { cachedTokens } of candidates) mostCached = Math.max(mostCached, fact(cachedTokens))
  const speeds = evenRates(candidates)
  return candidates.map((candidate, at) => {
    const speed = speeds[at] ?? candidate.rates
    const anewMs = prefillMs(mostCached - fact(candidate.cachedTokens), speed)
    // Who computes anew where nobody waits keeps nobody waiting.
    const others = anewMs * Math.min(weight, weightOf(candidate))
    return scored(candidate, termsOf(request, candidate, speed, others))
  })
}

/** Milliseconds that others wait for each that is computed anew where so many requests are. */
function weightOf({ running, prefilling }: { running: number; prefilling: number }): number {
  const waiting = fact(prefilling)
  const decoding = Math.max(0, fact(running) - waiting)
  return tuning.othersIdle + tuning.othersPerWaiting * waiting + tuning.othersPerDecoding * decoding
}

function meansOf(candidates: readonly Candidate[]) {
  let running = 0
  let prefilling = 0
  for (const candidate of candidates) {
    running += fact(candidate.running)
    prefilling += fact(candidate.prefilling)
  }
  const count = Math.max(1, candidates.length)
  return { running: running / count, prefilling: prefilling / count }
}

function termsOf(request: RouteRequest, candidate: Candidate, speed: Speed, others: number): Ranked['terms'] {
  const parts = predict(request, candidate, speed)
  const decode = parts.decodeMs * tuning.decodeShare
  const pressure = pressureMs(request, candidate)
  return {
    loading: parts.loadingMs,
    slotWait: parts.slotWaitMs,
    queued: parts.queuedMs,
    prefill: parts.prefillMs,
    restore: parts.restoreMs,
    network: parts.networkMs,
    decode,
    pressure,
    others,
    failures: failureMs(parts.ttftMs + decode + pressure + others, candidate),
  }
}
