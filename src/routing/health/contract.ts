/** What an engine did with a request. Refusals that are the request's own fault are no outcome at all. */
export type AttemptOutcome = 'answered' | 'failed' | 'slow'

/** By default: probes every 30 s with 5 s to answer, 3 bad ones make unhealthy, 2 good ones healthy again. */
export interface HealthLimits {
  intervalMs: number
  timeoutMs: number
  unhealthyAfter: number
  healthyAfter: number
  /** Failures in `breakerWindowMs` that open the breaker, and for how long. */
  breakerFailures: number
  breakerWindowMs: number
  breakerOpenMs: number
}

/** A permission to try an instance. Results with an old one (from before the breaker's last change) are ignored. */
export interface Attempt {
  instance: number
  generation: number
  /** It is the one request that a half-open breaker lets through. */
  probe: boolean
}

export type BreakerState = 'closed' | 'open' | 'half_open'

/** Whether instances can be trusted, from probes (active) and from what requests met with (passive). Pure state. */
export interface HealthBook {
  /** Whether a request may go there at this moment: the breaker is not open, the probes are not bad. Changes nothing. */
  allows(instance: number, nowMs: number): boolean
  /** Counts a try in; undefined where `allows` is false, or the half-open breaker's one try is out already. */
  begin(instance: number, nowMs: number): Attempt | undefined
  end(attempt: Attempt, outcome: AttemptOutcome, nowMs: number): void
  /** Neither good nor bad: the client left, or the request was wrong. */
  cancel(attempt: Attempt): void
  probed(instance: number, ok: boolean, nowMs: number): void
  /** From 0 to 1: what of the last outcomes was good, and 0 while it is not allowed. A new instance has 1. */
  scoreOf(instance: number, nowMs: number): number
  /** When an open breaker becomes half-open, at the soonest; Infinity: none is open. */
  nextChangeMs(): number
  forget(instance: number): void
  report(nowMs: number): HealthReport[]
}

export interface HealthReport {
  instance: number
  breaker: BreakerState
  probesOk: boolean
  score: number
  lastFailureMs?: number
}

/** How many retries there may be beside the requests themselves, so that a failing fleet is not drowned in them. */
export interface RetryBudget {
  /** A request came for the first time. */
  deposit(nowMs: number): void
  /** Takes one retry from the budget; false when there is none. */
  withdraw(nowMs: number): boolean
  /** Wait before the `attempt`-th retry (from 1): exponential with full jitter, bounded. */
  backoffMs(attempt: number, random: () => number): number
}
