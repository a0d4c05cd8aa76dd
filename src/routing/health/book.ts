import { type Breaker, closedBreaker, letPass, passes, release, settleAttempt, stateAt } from './breaker.ts'
import type { AttemptOutcome, HealthBook, HealthLimits } from './contract.ts'
import { addOutcome, newScore, type Score, shareOfGood } from './score.ts'

export const defaultHealthLimits: HealthLimits = {
  intervalMs: 30_000,
  timeoutMs: 5_000,
  unhealthyAfter: 3,
  healthyAfter: 2,
  breakerFailures: 5,
  breakerWindowMs: 60_000,
  breakerOpenMs: 60_000,
}

/** A failed answer is a server error (5xx), a broken or silent connection, or an error in the stream. */
const goodness: Record<AttemptOutcome, number> = { answered: 1, slow: 0.5, failed: 0 }

/** What is known of one instance. */
interface Health {
  breaker: Breaker
  score: Score
  probesOk: boolean
  /** Probes in a row that speak against `probesOk`. */
  against: number
  lastFailureMs?: number
}

/**
 * Health of instances: the breaker with attempt tokens and generations as Olla has it, thresholds for probes, and a
 * share of good outcomes. An instance it has not heard of is healthy; whoever removes one calls `forget`.
 *
 * Why no library: cockatiel's breaker, the best known, wraps the promise of a call and reads the time itself. Here an
 * attempt begins and ends in different places, results may come too late to count, and the simulator holds the clock.
 */
export function createHealthBook(limits: HealthLimits = defaultHealthLimits): HealthBook {
  const instances = new Map<number, Health>()
  /** Above all generations of instances that were forgotten, so that no old attempt fits a new instance. */
  let firstGeneration = 0
  /** The latest time anyone spoke of. */
  let seenMs = Number.NEGATIVE_INFINITY

  function healthOf(instance: number, nowMs: number): Health {
    let health = instances.get(instance)
    if (!health) {
      health = { breaker: closedBreaker(firstGeneration), score: newScore(nowMs), probesOk: true, against: 0 }
      instances.set(instance, health)
    }
    return health
  }

  function allows(instance: number, nowMs: number): boolean {
    seenMs = Math.max(seenMs, nowMs)
    const health = instances.get(instance)
    return health === undefined || (health.probesOk && passes(health.breaker, nowMs))
  }

  function scoreOf(instance: number, nowMs: number): number {
    if (!allows(instance, nowMs)) return 0
    const health = instances.get(instance)
    return health ? shareOfGood(health.score, nowMs) : 1
  }

  function judge(health: Health, outcome: AttemptOutcome, nowMs: number): void {
    addOutcome(health.score, goodness[outcome], nowMs)
    if (outcome === 'failed') health.lastFailureMs = nowMs
  }

  return {
    allows,
    scoreOf,
    begin(instance, nowMs) {
      if (!allows(instance, nowMs)) return undefined
      return letPass(healthOf(instance, nowMs).breaker, instance, nowMs)
    },
    end(attempt, outcome, nowMs) {
      seenMs = Math.max(seenMs, nowMs)
      const health = instances.get(attempt.instance)
      if (!health || health.breaker.generation !== attempt.generation) return
      judge(health, outcome, nowMs)
      settleAttempt(health.breaker, outcome, limits, nowMs)
    },
    cancel(attempt) {
      const health = instances.get(attempt.instance)
      if (health) release(health.breaker, attempt)
    },
    probed(instance, ok, nowMs) {
      seenMs = Math.max(seenMs, nowMs)
      const health = healthOf(instance, nowMs)
      judge(health, ok ? 'answered' : 'failed', nowMs)
      health.against = ok === health.probesOk ? 0 : health.against + 1
      if (health.against < (ok ? limits.healthyAfter : limits.unhealthyAfter)) return
      health.probesOk = ok
      health.against = 0
    },
    nextChangeMs() {
      let soonest = Number.POSITIVE_INFINITY
      for (const { breaker } of instances.values()) {
        if (breaker.state !== 'open' || breaker.openUntilMs <= seenMs) continue
        soonest = Math.min(soonest, breaker.openUntilMs)
      }
      return soonest
    },
    forget(instance) {
      const health = instances.get(instance)
      if (!health) return
      firstGeneration = Math.max(firstGeneration, health.breaker.generation + 1)
      instances.delete(instance)
    },
    report(nowMs) {
      seenMs = Math.max(seenMs, nowMs)
      return [...instances].map(([instance, { breaker, probesOk, lastFailureMs }]) => ({
        instance,
        breaker: stateAt(breaker, nowMs),
        probesOk,
        score: scoreOf(instance, nowMs),
        ...(lastFailureMs !== undefined && { lastFailureMs }),
      }))
    },
  }
}
