import { describe, expect, it } from 'vitest'
import { createHealthBook, defaultHealthLimits } from './book.ts'
import { probeLeaseMs } from './breaker.ts'
import type { Attempt, AttemptOutcome, HealthBook } from './contract.ts'

const second = 1000

/** Begins an attempt that has to be allowed. */
function attempt(book: HealthBook, nowMs: number, instance = 1): Attempt {
  const begun = book.begin(instance, nowMs)
  if (!begun) throw new Error(`instance ${instance} is not allowed at ${nowMs} ms`)
  return begun
}

function meet(book: HealthBook, outcome: AttemptOutcome, nowMs: number, times = 1): void {
  for (let i = 0; i < times; i++) book.end(attempt(book, nowMs), outcome, nowMs)
}

/** Its breaker opened at 0. */
function broken(): HealthBook {
  const book = createHealthBook()
  meet(book, 'failed', 0, 5)
  return book
}

function breakerOf(book: HealthBook, nowMs: number): string | undefined {
  return book.report(nowMs).find(({ instance }) => instance === 1)?.breaker
}

describe('the circuit breaker', () => {
  it('opens with the fifth failure within a minute, for a minute', () => {
    const book = createHealthBook()
    meet(book, 'failed', 0, 4)
    expect(book.allows(1, 0)).toBe(true)
    meet(book, 'failed', 59 * second)
    expect(book.allows(1, 59 * second)).toBe(false)
    expect(book.begin(1, 118 * second)).toBeUndefined()
    expect(breakerOf(book, 118 * second)).toBe('open')
    expect(book.allows(1, 119 * second)).toBe(true)
    expect(breakerOf(book, 119 * second)).toBe('half_open')
  })

  it('does not count failures from more than a minute ago', () => {
    const book = createHealthBook()
    meet(book, 'failed', 0, 4)
    meet(book, 'failed', 60 * second)
    expect(book.allows(1, 60 * second)).toBe(true)
  })

  it('opens for one instance only', () => {
    expect(broken().allows(2, 0)).toBe(true)
  })

  it('is not opened by slow answers', () => {
    const book = createHealthBook()
    meet(book, 'slow', 0, 100)
    expect(book.allows(1, 0)).toBe(true)
  })

  it('lets one request through when half-open, and nobody else until that has ended', () => {
    const book = broken()
    const probe = attempt(book, 60 * second)
    expect(probe.probe).toBe(true)
    expect(book.allows(1, 61 * second)).toBe(false)
    expect(book.begin(1, 61 * second)).toBeUndefined()
    book.end(probe, 'answered', 62 * second)
    expect(breakerOf(book, 62 * second)).toBe('closed')
    expect(attempt(book, 62 * second).probe).toBe(false)
  })

  it('opens for another minute when that one request fails', () => {
    const book = broken()
    book.end(attempt(book, 60 * second), 'failed', 70 * second)
    expect(book.allows(1, 129 * second)).toBe(false)
    expect(book.allows(1, 130 * second)).toBe(true)
  })

  it('lets another request through when the one that was out was cancelled', () => {
    const book = broken()
    book.cancel(attempt(book, 60 * second))
    expect(attempt(book, 60 * second).probe).toBe(true)
  })

  it('lets another request through after 30 s, when nobody heard of the first one again', () => {
    const book = broken()
    attempt(book, 60 * second)
    expect(book.begin(1, 60 * second + probeLeaseMs - 1)).toBeUndefined()
    const successor = attempt(book, 60 * second + probeLeaseMs)
    expect(successor.probe).toBe(true)
    book.end(successor, 'answered', 100 * second)
    expect(breakerOf(book, 100 * second)).toBe('closed')
  })

  it('is closed by a long answer too, though a successor was let through meanwhile', () => {
    const book = broken()
    const long = attempt(book, 60 * second)
    const successor = attempt(book, 95 * second)
    book.end(long, 'answered', 100 * second)
    expect(breakerOf(book, 100 * second)).toBe('closed')
    book.end(successor, 'failed', 101 * second)
    expect(book.report(101 * second)[0]?.lastFailureMs).toBe(0)
  })

  it('does not take the leave of a lost request for that of its successor', () => {
    const book = broken()
    const lost = attempt(book, 60 * second)
    attempt(book, 95 * second)
    book.cancel(lost)
    expect(book.begin(1, 96 * second)).toBeUndefined()
  })

  it('is not opened again by a failure that began before it opened', () => {
    const book = createHealthBook()
    const old = Array.from({ length: 5 }, () => attempt(book, 0))
    meet(book, 'failed', 0, 5)
    book.end(attempt(book, 60 * second), 'answered', 61 * second)
    for (const late of old) book.end(late, 'failed', 62 * second)
    expect(book.allows(1, 62 * second)).toBe(true)
    expect(book.report(62 * second)[0]?.lastFailureMs).toBe(0)
  })

  it('says when it becomes half-open, and nothing once that has passed', () => {
    const book = createHealthBook()
    expect(book.nextChangeMs()).toBe(Infinity)
    meet(book, 'failed', 7 * second, 5)
    expect(book.nextChangeMs()).toBe(67 * second)
    book.allows(2, 67 * second)
    expect(book.nextChangeMs()).toBe(Infinity)
  })
})

describe('probes', () => {
  it('make an instance unhealthy at the third bad one in a row, and healthy at the second good one', () => {
    const book = createHealthBook()
    const seen = [false, false, true, false, false, false, true, false, true, true].map((ok, index) => {
      book.probed(1, ok, index * defaultHealthLimits.intervalMs)
      return book.allows(1, index * defaultHealthLimits.intervalMs)
    })
    expect(seen).toEqual([true, true, true, true, true, false, false, false, false, true])
  })

  it('do not close a breaker: an engine may be up and fail every request', () => {
    const book = broken()
    for (let i = 0; i < 5; i++) book.probed(1, true, i)
    expect(book.allows(1, 5)).toBe(false)
  })
})

describe('the score of an instance', () => {
  it('is 1 for a new one and 0 while it is not allowed', () => {
    expect(createHealthBook().scoreOf(1, 0)).toBe(1)
    expect(broken().scoreOf(1, 1)).toBe(0)
    const probed = createHealthBook()
    for (let i = 0; i < 3; i++) probed.probed(1, false, 0)
    expect(probed.scoreOf(1, 0)).toBe(0)
  })

  it('falls with failures, half as much with slow answers, and is told nothing by a cancelled one', () => {
    const scores = (['failed', 'slow', 'answered'] as const).map((outcome) => {
      const book = createHealthBook()
      meet(book, outcome, 0)
      return book.scoreOf(1, 0)
    })
    expect(scores).toEqual([2 / 3, 2.5 / 3, 1])
    const book = createHealthBook()
    book.cancel(attempt(book, 0))
    expect(book.scoreOf(1, 0)).toBe(1)
  })

  it('is raised when an answer has ended, not when it begins', () => {
    const book = createHealthBook()
    meet(book, 'failed', 0)
    const before = book.scoreOf(1, 0)
    const begun = attempt(book, 0)
    expect(book.scoreOf(1, 0)).toBe(before)
    book.end(begun, 'answered', 0)
    expect(book.scoreOf(1, 0)).toBeGreaterThan(before)
  })

  it('recovers with time alone', () => {
    const book = createHealthBook()
    meet(book, 'failed', 0, 4)
    expect(book.scoreOf(1, 0)).toBeCloseTo(1 / 3, 9)
    // Four failures, half-faded twice, count as one.
    expect(book.scoreOf(1, 60 * second)).toBeCloseTo(2 / 3, 9)
    expect(book.scoreOf(1, 3600 * second)).toBeGreaterThan(0.999)
  })
})

describe('an instance that is forgotten', () => {
  it('is new again, and results of its former life change nothing', () => {
    const book = createHealthBook()
    const old = Array.from({ length: 9 }, () => attempt(book, 0))
    meet(book, 'failed', 0, 5)
    book.forget(1)
    expect(book.report(0)).toEqual([])
    for (const late of old.slice(0, 4)) book.end(late, 'failed', 1)
    expect(book.report(1)).toEqual([])
    attempt(book, 2)
    for (const late of old) book.end(late, 'failed', 3)
    expect(book.report(3)).toEqual([{ instance: 1, breaker: 'closed', probesOk: true, score: 1 }])
  })
})
