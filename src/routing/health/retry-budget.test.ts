import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRetryBudget, defaultRetryBudget } from './retry-budget.ts'

function withdrawn(budget: ReturnType<typeof createRetryBudget>, nowMs: number, asked: number): number {
  let granted = 0
  for (let i = 0; i < asked; i++) if (budget.withdraw(nowMs)) granted += 1
  return granted
}

describe('the retry budget', () => {
  it('grants ten retries at the start, and ten more each second', () => {
    const budget = createRetryBudget()
    expect(withdrawn(budget, 0, 50)).toBe(10)
    expect(withdrawn(budget, 1000, 50)).toBe(10)
  })

  it('grants one retry for five requests on top', () => {
    const budget = createRetryBudget({ perSecond: 0 })
    for (let i = 0; i < 50; i++) budget.deposit(0)
    expect(withdrawn(budget, 0, 50)).toBe(10)
  })

  it('saves up no more than its capacity', () => {
    const budget = createRetryBudget()
    expect(withdrawn(budget, 0, 5)).toBe(5)
    for (let i = 0; i < 10_000; i++) budget.deposit(0)
    expect(withdrawn(budget, 3_600_000, 1000)).toBe(100)
  })

  it('never grants more than its share, in any order of events', () => {
    const event = fc.record({ retry: fc.boolean(), afterMs: fc.integer({ min: -5, max: 300 }) })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 500 }), (events) => {
        const budget = createRetryBudget()
        let [nowMs, latestMs, requests, retries] = [0, 0, 0, 0]
        for (const { retry, afterMs } of events) {
          nowMs += afterMs
          latestMs = Math.max(latestMs, nowMs)
          if (!retry) {
            budget.deposit(nowMs)
            requests += 1
          } else if (budget.withdraw(nowMs)) retries += 1
          expect(retries).toBeLessThanOrEqual(10 + requests / 5 + latestMs / 100 + 0.1 + 1e-6)
        }
      }),
    )
  })
})

describe('the wait before a retry', () => {
  it('is spread evenly below a bound that doubles', () => {
    const { backoffMs } = createRetryBudget()
    expect([1, 2, 3, 6, 7, 50].map((attempt) => backoffMs(attempt, () => 0.5))).toEqual([
      25, 50, 100, 800, 1000, 1000,
    ])
    expect(backoffMs(3, () => 0)).toBe(0)
  })

  it('is never negative and never above the longest, for any attempt', () => {
    fc.assert(
      fc.property(fc.double(), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, drawn) => {
        const waitMs = createRetryBudget().backoffMs(attempt, () => drawn)
        expect(waitMs).toBeGreaterThanOrEqual(0)
        expect(waitMs).toBeLessThanOrEqual(defaultRetryBudget.longestMs)
      }),
    )
  })
})
