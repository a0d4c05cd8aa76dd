import type { RetryBudget } from './contract.ts'

/** How many retries there may be, and how long they wait. */
export interface RetryBudgetOptions {
  /** Retries per request. */
  share: number
  /** Retries a second that are there even where few requests come. */
  perSecond: number
  /** Most that is saved up for a bad moment. */
  capacity: number
  /** Upper end of the wait before the first retry; it doubles with each, up to `longestMs`. */
  baseMs: number
  longestMs: number
}

/** A fifth of the requests and ten a second; at most a hundred at once. First waits below 50 ms, none above 2 s. */
export const defaultRetryBudget: RetryBudgetOptions = {
  share: 0.2,
  perSecond: 10,
  capacity: 100,
  baseMs: 50,
  longestMs: 2_000,
}

/**
 * A token bucket, as Finagle's retry budget is: over any time there are at most
 * `capacity + share * requests + perSecond * seconds` retries, so a failing fleet gets a fifth more work, not twice. It
 * starts with one second's worth.
 */
export function createRetryBudget(options: Partial<RetryBudgetOptions> = {}): RetryBudget {
  const { share, perSecond, capacity, baseMs, longestMs } = { ...defaultRetryBudget, ...options }
  let tokens = Math.min(capacity, perSecond)
  let atMs: number | undefined

  function refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - (atMs ?? nowMs))
    atMs = Math.max(nowMs, atMs ?? nowMs)
    tokens = Math.min(capacity, tokens + (perSecond * elapsedMs) / 1000)
  }

  return {
    deposit(nowMs) {
      refill(nowMs)
      tokens = Math.min(capacity, tokens + share)
    },
    withdraw(nowMs) {
      refill(nowMs)
      // Fifths do not add up to whole numbers exactly.
      if (tokens < 1 - 1e-9) return false
      tokens -= 1
      return true
    },
    /** "Full jitter" of Brooker, Exponential Backoff And Jitter, 2015: evenly between nothing and the bound. */
    backoffMs(attempt, random) {
      const doublings = Math.max(0, attempt - 1) || 0
      return random() * Math.min(longestMs, baseMs * 2 ** doublings)
    },
  }
}
