import { type Clock, type Spread, spreadOf } from '../../core/index.ts'
import type { DoneEvent } from '../../inference/index.ts'

/** One answer on its way. */
export interface AnswerMeter {
  /** A piece of it goes out. */
  piece(): void
  done(event: Pick<DoneEvent, 'reason' | 'usage'>): void
  /** It was refused, or broke off. Nothing after another end. */
  failed(): void
  /** Its client went away. */
  left(): void
}

/** What went through this server in the last minute, or since it started. */
export interface Performance {
  windowSeconds: number
  throughput: {
    requestsPerSecond: number
    promptTokensPerSecond: number
    outputTokensPerSecond: number
    /** Answers under way at this moment. */
    running: number
  }
  /** Milliseconds; absent where there was nothing to measure. */
  latency: {
    /** From a request's arrival to the first piece of its answer, waiting and loading included. */
    ttftMs?: Spread
    /** Between two pieces of an answer. */
    itlMs?: Spread
    endToEndMs?: Spread
  }
  failures: number
}

export interface Meter {
  begin(): AnswerMeter
  report(): Performance
}

const windowMs = 60_000
/** Newer samples take the place of older ones. */
const mostSamples = 8192

/** Counts answers by the second. A piece costs one read of the clock and two numbers. */
export function createMeter(clock: Clock): Meter {
  const startedMs = clock.monotonicMs()
  const seconds = createSeconds()
  const samples = { ttftMs: createSamples(), itlMs: createSamples(), endToEndMs: createSamples() }
  let running = 0
  return {
    begin() {
      const arrivedMs = clock.monotonicMs()
      let lastMs = 0
      let pieces = 0
      let over = false
      running++
      const end = () => {
        if (over) return false
        over = true
        running--
        return true
      }
      return {
        piece() {
          const nowMs = clock.monotonicMs()
          if (lastMs === 0) samples.ttftMs.add(nowMs, nowMs - arrivedMs)
          else samples.itlMs.add(nowMs, nowMs - lastMs)
          lastMs = nowMs
          pieces++
          seconds.at(nowMs).outputTokens++
        },
        done({ reason, usage }) {
          if (!end() || reason === 'load' || reason === 'unload') return
          const nowMs = clock.monotonicMs()
          samples.endToEndMs.add(nowMs, nowMs - arrivedMs)
          const bucket = seconds.at(nowMs)
          bucket.answers++
          bucket.promptTokens += usage.promptTokens
          // Pieces were taken for tokens while nothing better was known.
          bucket.outputTokens += usage.outputTokens - pieces
        },
        failed() {
          if (end()) seconds.at(clock.monotonicMs()).failures++
        },
        left: () => void end(),
      }
    },
    report() {
      const nowMs = clock.monotonicMs()
      const seenMs = Math.min(windowMs, Math.max(1000, nowMs - startedMs))
      const { answers, promptTokens, outputTokens, failures } = seconds.sum(nowMs)
      const perSecond = (count: number) => (count * 1000) / seenMs
      const latency = Object.fromEntries(
        Object.entries(samples).flatMap(([name, kept]) => {
          const values = kept.since(nowMs - windowMs)
          return values.length > 0 ? [[name, spreadOf(values)]] : []
        }),
      )
      return {
        windowSeconds: seenMs / 1000,
        throughput: {
          requestsPerSecond: perSecond(answers),
          promptTokensPerSecond: perSecond(promptTokens),
          outputTokensPerSecond: perSecond(outputTokens),
          running,
        },
        latency,
        failures,
      }
    },
  }
}

interface Second {
  second: number
  answers: number
  promptTokens: number
  outputTokens: number
  failures: number
}

/** A bucket a second, each used again after a minute. */
function createSeconds() {
  const count = windowMs / 1000
  const empty = (second: number): Second => ({
    second,
    answers: 0,
    promptTokens: 0,
    outputTokens: 0,
    failures: 0,
  })
  const buckets = new Map<number, Second>()
  return {
    at(nowMs: number): Second {
      const second = Math.floor(nowMs / 1000)
      const known = buckets.get(second % count)
      if (known?.second === second) return known
      const fresh = empty(second)
      buckets.set(second % count, fresh)
      return fresh
    },
    sum(nowMs: number): Second {
      const now = Math.floor(nowMs / 1000)
      const total = empty(now)
      for (const bucket of buckets.values()) {
        if (bucket.second <= now - count) continue
        total.answers += bucket.answers
        total.promptTokens += bucket.promptTokens
        total.outputTokens += bucket.outputTokens
        total.failures += bucket.failures
      }
      return total
    },
  }
}

/** The last values with their times. */
function createSamples() {
  const timesMs = new Float64Array(mostSamples)
  const values = new Float64Array(mostSamples)
  let count = 0
  return {
    add(nowMs: number, value: number): void {
      timesMs[count % mostSamples] = nowMs
      values[count % mostSamples] = value
      count++
    },
    since(fromMs: number): Float64Array {
      return values
        .slice(0, Math.min(count, mostSamples))
        .filter((_, index) => (timesMs[index] ?? 0) > fromMs)
    },
  }
}
