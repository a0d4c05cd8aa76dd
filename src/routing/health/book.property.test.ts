import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createHealthBook, defaultHealthLimits } from './book.ts'
import { probeLeaseMs } from './breaker.ts'
import type { Attempt, HealthBook } from './contract.ts'

const instances = [1, 2]

/** Often enough for breakers to open and to be tried, rarely enough of the rest not to hide that. */
const what = fc.oneof(
  { weight: 8, arbitrary: fc.constant('begin' as const) },
  { weight: 5, arbitrary: fc.constant('failed' as const) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('answered' as const, 'slow' as const, 'cancel' as const, 'bad' as const),
  },
  { weight: 2, arbitrary: fc.constant('ok' as const) },
)

/** One thing that happens, some time after the one before. `pick` chooses among the attempts that are out. */
const event = fc.record({
  what,
  instance: fc.constantFrom(...instances),
  pick: fc.nat(),
  afterMs: fc.oneof(
    { weight: 12, arbitrary: fc.integer({ min: 0, max: 500 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 70_000 }) },
  ),
})
type Event = typeof event extends fc.Arbitrary<infer Value> ? Value : never

const schedules = fc.array(event, { minLength: 100, maxLength: 300 })

interface Out {
  attempt: Attempt
  sinceMs: number
}

/** Plays a schedule; `watch` sees every step. */
function play(schedule: readonly Event[], watch: (step: Step) => void): { book: HealthBook; nowMs: number } {
  const book = createHealthBook()
  const out: Out[] = []
  let nowMs = 0
  for (const { what, instance, pick, afterMs } of schedule) {
    nowMs += afterMs
    const step: Step = { book, out, nowMs }
    if (what === 'begin') {
      const allowed = book.allows(instance, nowMs)
      const attempt = book.begin(instance, nowMs)
      expect(attempt !== undefined).toBe(allowed)
      if (attempt) out.push({ attempt, sinceMs: nowMs })
    } else if (what === 'ok' || what === 'bad') {
      book.probed(instance, what === 'ok', nowMs)
    } else if (out.length > 0) {
      const [ended] = out.splice(pick % out.length, 1)
      if (ended) {
        step.ended = ended
        step.before = stateOf(book, nowMs)
        if (what === 'cancel') book.cancel(ended.attempt)
        else book.end(ended.attempt, what, nowMs)
      }
    }
    watch(step)
  }
  return { book, nowMs }
}

interface Step {
  book: HealthBook
  out: readonly Out[]
  nowMs: number
  ended?: Out
  before?: string
}

function stateOf(book: HealthBook, nowMs: number): string {
  return JSON.stringify([book.report(nowMs), book.nextChangeMs()])
}

describe('in any order of events', () => {
  it('at most one request of a half-open breaker is out, but for those that are lost', () => {
    let seen = 0
    fc.assert(
      fc.property(schedules, (schedule) => {
        play(schedule, ({ out, nowMs }) => {
          for (const instance of instances) {
            const probes = out.filter(({ attempt }) => attempt.probe && attempt.instance === instance)
            const newest = Math.max(...probes.map(({ attempt }) => attempt.generation))
            const here = probes.filter(
              ({ attempt, sinceMs }) => attempt.generation === newest && nowMs - sinceMs < probeLeaseMs,
            )
            expect(here.length).toBeLessThanOrEqual(1)
            seen += here.length
          }
        })
      }),
      { numRuns: 100 },
    )
    expect(seen).toBeGreaterThan(10)
  })

  it('a result from before the last change of the breaker changes nothing', () => {
    let seen = 0
    fc.assert(
      fc.property(schedules, (schedule) => {
        /** By instance, the newest generation that a begun attempt has shown. */
        const newest = new Map<number, number>()
        play(schedule, ({ book, out, nowMs, ended, before }) => {
          for (const { attempt } of out) {
            newest.set(attempt.instance, Math.max(newest.get(attempt.instance) ?? 0, attempt.generation))
          }
          if (!ended || ended.attempt.generation >= (newest.get(ended.attempt.instance) ?? 0)) return
          seen += 1
          expect(stateOf(book, nowMs)).toBe(before)
        })
      }),
      { numRuns: 100 },
    )
    expect(seen).toBeGreaterThan(10)
  })

  it('every score is between 0 and 1, and 0 exactly where requests may not go', () => {
    fc.assert(
      fc.property(schedules, (schedule) => {
        play(schedule, ({ book, nowMs }) => {
          for (const instance of instances) {
            const score = book.scoreOf(instance, nowMs)
            expect(score).toBeLessThanOrEqual(1)
            expect(score > 0).toBe(book.allows(instance, nowMs))
          }
        })
      }),
      { numRuns: 100 },
    )
  })

  it('an instance that works again is trusted again: after the open time, one answer and two good probes', () => {
    fc.assert(
      fc.property(schedules, (schedule) => {
        const { book, nowMs } = play(schedule, () => undefined)
        const laterMs = nowMs + defaultHealthLimits.breakerOpenMs + probeLeaseMs
        for (const instance of instances) {
          book.probed(instance, true, laterMs)
          book.probed(instance, true, laterMs)
          const attempt = book.begin(instance, laterMs)
          expect(attempt).toBeDefined()
          if (attempt) book.end(attempt, 'answered', laterMs)
        }
        for (const { breaker, probesOk, score } of book.report(laterMs)) {
          expect({ breaker, probesOk }).toEqual({ breaker: 'closed', probesOk: true })
          expect(score).toBeGreaterThan(0.5)
        }
        expect(book.nextChangeMs()).toBe(Infinity)
      }),
      { numRuns: 100 },
    )
  })
})
