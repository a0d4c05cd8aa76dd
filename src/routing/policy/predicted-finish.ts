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
import type { Candidate, Policy, Ranked, Rates, RouteRequest } from './contract.ts'
import { fact, failureMs, predict, prefillMs, pressureMs } from './costs.ts'
import { evenRates } from './even-rates.ts'
import { inOrder, scored } from './order.ts'
import { tuning } from './tuning.ts'

export const predictedFinish: Policy = {
  name: 'predicted_finish',
  about: 'Where it is predicted to finish first, what it costs the others included.',
  unit: 'ms',
  rank: (request, candidates) => inOrder(finishScores(request, candidates)),
}

/** Every candidate's score, in the order in which they come. */
export function finishScores(request: RouteRequest, candidates: readonly Candidate[]): Ranked[] {
  const weight = othersWeight(candidates)
  const mostCached = candidates.reduce((most, { cachedTokens }) => Math.max(most, fact(cachedTokens)), 0)
  const rates = evenRates(candidates)
  return candidates.map((candidate, at) => {
    const even = rates[at] ?? candidate.rates
    const anewMs = prefillMs(mostCached - fact(candidate.cachedTokens), { rates: even })
    const own = ownWeight(candidate)
    return scored(candidate, termsOf(request, candidate, even, anewMs * Math.min(weight, own)))
  })
}

/** The same by what the candidate alone has to do: who computes anew where nobody waits keeps nobody waiting. */
function ownWeight(candidate: Candidate): number {
  const waiting = fact(candidate.prefilling)
  const decoding = Math.max(0, fact(candidate.running) - waiting)
  return tuning.othersIdle + tuning.othersPerWaiting * waiting + tuning.othersPerDecoding * decoding
}

/** Milliseconds that others wait for each that this request computes anew. */
function othersWeight(candidates: readonly Candidate[]): number {
  let waiting = 0
  let running = 0
  for (const candidate of candidates) {
    waiting += fact(candidate.prefilling)
    running += fact(candidate.running)
  }
  const decoding = Math.max(0, running - waiting)
  const sum = tuning.othersPerWaiting * waiting + tuning.othersPerDecoding * decoding
  return Math.min(tuning.othersIdle + sum / Math.max(1, candidates.length), tuning.othersMost)
}

function termsOf(request: RouteRequest, candidate: Candidate, rates: Rates, others: number): Ranked['terms'] {
  const parts = predict(request, candidate, rates)
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
