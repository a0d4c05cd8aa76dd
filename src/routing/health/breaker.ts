import type { Attempt, AttemptOutcome, BreakerState, HealthLimits } from './contract.ts'

/**
 * After so long without a result, the half-open breaker's one request counts as lost and another may be tried. The
 * first one's result is still welcome: an answer may take longer than this.
 */
export const probeLeaseMs = 30_000

/** A circuit breaker of one instance. */
export interface Breaker {
  state: 'closed' | 'open' | 'half_open'
  /** Grows with every change of state; results of attempts from before it are ignored. */
  generation: number
  /** When the last failures came, oldest first; as many as open the breaker, at most. */
  failures: number[]
  /** While open: when it becomes half-open. */
  openUntilMs: number
  /** While half-open: the request that is out, and when it was let out. */
  probe?: { attempt: Attempt; sinceMs: number }
}

/** `generation` has to be one that no attempt has yet. */
export function closedBreaker(generation: number): Breaker {
  return { state: 'closed', generation, failures: [], openUntilMs: 0 }
}

/** What its state is now: time alone makes an open breaker half-open. */
export function stateAt(breaker: Breaker, nowMs: number): BreakerState {
  return breaker.state === 'open' && nowMs >= breaker.openUntilMs ? 'half_open' : breaker.state
}

/** Whether a request may pass. */
export function passes(breaker: Breaker, nowMs: number): boolean {
  const state = stateAt(breaker, nowMs)
  if (state !== 'half_open') return state === 'closed'
  return breaker.probe === undefined || nowMs - breaker.probe.sinceMs >= probeLeaseMs
}

/** Lets a request pass; the caller has asked `passes`. */
export function letPass(breaker: Breaker, instance: number, nowMs: number): Attempt {
  const probe = stateAt(breaker, nowMs) === 'half_open'
  if (probe && breaker.state === 'open') change(breaker, 'half_open')
  const attempt: Attempt = { instance, generation: breaker.generation, probe }
  if (probe) breaker.probe = { attempt, sinceMs: nowMs }
  return attempt
}

/** The result of an attempt of the present generation. An answer is an answer, slow or not. */
export function settleAttempt(
  breaker: Breaker,
  outcome: AttemptOutcome,
  limits: HealthLimits,
  nowMs: number,
): void {
  if (breaker.state === 'half_open') {
    if (outcome === 'failed') open(breaker, limits, nowMs)
    else change(breaker, 'closed')
    return
  }
  if (outcome !== 'failed') {
    // What answers between its failures is not broken; how often it fails is for the score to tell.
    breaker.failures = []
    return
  }
  const recent = breaker.failures.filter((atMs) => nowMs - atMs < limits.breakerWindowMs)
  breaker.failures = [...recent, nowMs]
  if (breaker.failures.length >= limits.breakerFailures) open(breaker, limits, nowMs)
}

/** The attempt told nothing: where it was the one that is out, another may be let out. */
export function release(breaker: Breaker, attempt: Attempt): void {
  if (breaker.probe?.attempt === attempt) delete breaker.probe
}

function open(breaker: Breaker, limits: HealthLimits, nowMs: number): void {
  change(breaker, 'open')
  breaker.openUntilMs = nowMs + limits.breakerOpenMs
}

function change(breaker: Breaker, state: Breaker['state']): void {
  breaker.state = state
  breaker.generation += 1
  breaker.failures = []
  delete breaker.probe
}
