/**
 * Where the request, and everybody else, is finished first.
 *
 *     own    = loading + slot wait + (queued + uncached) / prefill rate + restore + network
 *            + output * decode step(batch + 1) + pressure
 *     others = uncached / prefill rate * weight
 *     score  = (own + others) / health
 *     weight = min(othersIdle + othersPerWaiting * waiting + othersPerDecoding * decoding, othersMost)
 *
 * Milliseconds; constants in `tuning.ts`. `others` is what the request costs everybody else: a millisecond of computing
 * is one more for each who waits for that instance meanwhile. `waiting` and `decoding` are the mean numbers per
 * candidate of requests without and with a first token; they estimate how many those are (by Little's law, the rate at
 * which requests come times how long they stay). With an idle fleet a request goes where itself is fastest; with a busy
 * one it goes to its cache, unless the queue there costs more than is saved for everybody.
 *
 * Unknown: a rate counts as slow, a cache as empty, every other cost as none. Linear in the candidates, one sort.
 */
import type { Candidate, Policy, Ranked, RouteRequest } from './contract.ts'
import { fact, failureMs, predict, pressureMs } from './costs.ts'
import { inOrder, scored } from './order.ts'
import { tuning } from './tuning.ts'

export const predictedFinish: Policy = {
  name: 'predicted_finish',
  about: 'Where it is predicted to finish first, what it costs the others included.',
  unit: 'ms',
  rank: (request, candidates) => {
    const weight = othersWeight(candidates)
    return inOrder(candidates.map((candidate) => finishScore(request, candidate, weight)))
  },
}

/** Milliseconds that others wait for each that this request computes. */
export function othersWeight(candidates: readonly Candidate[]): number {
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

/** One candidate's score, of which `weight` is the same for all candidates of a decision. */
export function finishScore(request: RouteRequest, candidate: Candidate, weight: number): Ranked {
  const { loadingMs, slotWaitMs, queuedMs, prefillMs, restoreMs, networkMs, decodeMs, finishMs } = predict(
    request,
    candidate,
  )
  const pressure = pressureMs(request, candidate)
  const others = prefillMs * weight
  return scored(candidate, {
    loading: loadingMs,
    slotWait: slotWaitMs,
    queued: queuedMs,
    prefill: prefillMs,
    restore: restoreMs,
    network: networkMs,
    decode: decodeMs,
    pressure,
    others,
    failures: failureMs(finishMs + pressure + others, candidate),
  })
}
