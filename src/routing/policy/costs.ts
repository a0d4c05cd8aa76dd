/**
 * What a request costs on an instance, in milliseconds: the parts that policies add up. Whatever the facts are, the
 * results are finite and not negative: a rate that is no positive number is taken for `tuning.assumed`, any other
 * broken fact for 0, and none counts for more than `tuning.largestFact`.
 */
import type { Candidate, Rates, RouteRequest } from './contract.ts'
import { tuning } from './tuning.ts'

/** A fact as a finite number from 0 up. */
export function fact(value: number | undefined): number {
  return value !== undefined && value > 0 ? Math.min(value, tuning.largestFact) : 0
}

/** What of an instance's rates a running one is predicted by. */
export type Speed = Pick<Rates, 'prefillTokensPerS' | 'decodeBaseMs' | 'decodePerRequestMs'>

/** Milliseconds to compute so many prompt tokens, alone. */
export function prefillMs(tokens: number, { prefillTokensPerS }: Speed): number {
  const known = prefillTokensPerS >= Number.EPSILON
  return Math.min(
    (1000 * fact(tokens)) / (known ? prefillTokensPerS : tuning.assumed.prefillTokensPerS),
    tuning.largestFact,
  )
}

/** Milliseconds of a decoding step of so many requests. */
export function decodeStepMs(batch: number, { decodeBaseMs, decodePerRequestMs }: Speed): number {
  const base = fact(decodeBaseMs)
  const perRequest = fact(decodePerRequestMs)
  return base + perRequest > 0 ? base + perRequest * batch : tuning.assumed.decodeStepMs
}

/** Prompt tokens that it would have to compute: all but the cached ones, the last one always. */
export function uncachedTokens({ promptTokens }: RouteRequest, { cachedTokens }: Candidate): number {
  const prompt = fact(promptTokens)
  return Math.max(prompt - fact(cachedTokens), Math.min(prompt, 1))
}

/**
 * The barrier `pressureMs * k / (1 - k)`: `k` is what of the KV cache is in use once the request is there. Of what is
 * cached nothing is counted again. An instance without a cache size has no pressure.
 */
export function pressureMs(request: RouteRequest, candidate: Candidate): number {
  const capacity = fact(candidate.kvTokens)
  if (capacity === 0) return 0
  const held = fact(candidate.activeTokens) + uncachedTokens(request, candidate) + fact(request.outputTokens)
  const k = Math.min(held / capacity, tuning.pressureTop)
  return (tuning.pressureMs * k) / (1 - k)
}

/** The parts of a prediction; together they are `finishMs`. */
export interface Prediction {
  /** Decision to first token. */
  ttftMs: number
  /** Decision to last token. */
  finishMs: number
  loadingMs: number
  slotWaitMs: number
  /** Computing the prompts that are before it. */
  queuedMs: number
  prefillMs: number
  restoreMs: number
  networkMs: number
  decodeMs: number
}

/**
 * When a request would have its first token and its last on this instance:
 * `loading + slot wait + queued + prefill + restore + network`, then `output * step(batch + 1)`.
 * Prompts before it are computed while it waits for a slot, so only what is left of them then is queued. `speed`:
 * another than its own to reckon with.
 */
export function predict(
  request: RouteRequest,
  candidate: Candidate,
  speed: Speed = candidate.rates,
): Prediction {
  const loadingMs = fact(candidate.loadingMs)
  const slotWaitMs = fact(candidate.slotWaitMs)
  const queuedMs = Math.max(0, prefillMs(candidate.prefillTokens, speed) - slotWaitMs)
  const ownMs = prefillMs(uncachedTokens(request, candidate), speed)
  const restoreMs = fact(candidate.restoreMs)
  const networkMs = fact(candidate.networkMs)
  const decodeMs = fact(request.outputTokens) * decodeStepMs(fact(candidate.running) + 1, speed)
  const ttftMs = loadingMs + slotWaitMs + queuedMs + ownMs + restoreMs + networkMs
  return {
    ttftMs,
    finishMs: ttftMs + decodeMs,
    loadingMs,
    slotWaitMs,
    queuedMs,
    prefillMs: ownMs,
    restoreMs,
    networkMs,
    decodeMs,
  }
}

/** What failures add to a cost, on average: `cost / health` in all, as one in `1 / health` tries succeeds. */
export function failureMs(costMs: number, { health }: Candidate): number {
  const trust = Math.min(1, Math.max(fact(health), tuning.leastHealth))
  return costMs / trust - costMs
}
