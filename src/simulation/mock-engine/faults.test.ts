import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createFaults, faultNames } from './faults.ts'

function setUp() {
  const time = { nowMs: 0 }
  return { time, faults: createFaults(() => time.nowMs) }
}

describe('faults', () => {
  it('hit the share of requests that they were given, spread evenly', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 1, noNaN: true }), (share) => {
        const { faults } = setUp()
        faults.set({ fault: 'error_500', share })
        const hits = Array.from({ length: 1000 }, () => faults.hit().early !== undefined)
        for (const length of [10, 100, 1000]) {
          const count = hits.slice(0, length).filter(Boolean).length
          expect(Math.abs(count - share * length)).toBeLessThanOrEqual(1)
        }
      }),
    )
  })

  it('hit exactly each tenth with a tenth', () => {
    const { faults } = setUp()
    faults.set({ fault: 'error_500', share: 0.1 })
    const hits = Array.from({ length: 40 }, (_, index) => (faults.hit().early ? index : -1))
    expect(hits.filter((index) => index >= 0)).toEqual([9, 19, 29, 39])
  })

  it('switch themselves off after so many hits or seconds', () => {
    const { faults, time } = setUp()
    faults.set({ fault: 'error_503', count: 2 })
    expect([1, 2, 3].map(() => faults.hit().early?.fault)).toEqual(['error_503', 'error_503', undefined])
    faults.set({ fault: 'drop_health', seconds: 2 })
    time.nowMs = 1_500
    expect(faults.list()).toEqual([{ fault: 'drop_health', seconds: 2, hits: 0, remainingSeconds: 0.5 }])
    expect(faults.health()).toBe('drop')
    time.nowMs = 2_000
    expect(faults.health()).toBe('ok')
    expect(faults.list()).toEqual([])
  })

  it('come before the headers or within the answer, and not both but for late headers', () => {
    const { faults } = setUp()
    faults.set({ fault: 'cut_after_tokens', after: 3 })
    faults.set({ fault: 'wrong_model' })
    faults.set({ fault: 'late_headers', delayMs: 5, count: 1 })
    expect(faults.hit()).toEqual({
      early: { fault: 'late_headers', delayMs: 5, count: 1 },
      within: { fault: 'cut_after_tokens', after: 3 },
      wrongModel: 'another-model',
    })
    faults.set({ fault: 'error_500', count: 1 })
    expect(faults.hit()).toEqual({ early: { fault: 'error_500', count: 1 } })
    expect(faults.hit()).toEqual({
      within: { fault: 'cut_after_tokens', after: 3 },
      wrongModel: 'another-model',
    })
  })

  it('are cleared one by one or all together', () => {
    const { faults } = setUp()
    for (const fault of faultNames) faults.set({ fault })
    expect(faults.list()).toHaveLength(faultNames.length)
    expect(faults.slowFactor()).toBe(10)
    expect([faults.clear('slow'), faults.clear('slow')]).toEqual([true, false])
    expect(faults.slowFactor()).toBe(1)
    expect(faults.clear()).toBe(true)
    expect(faults.list()).toEqual([])
    expect(faults.hit()).toEqual({})
  })

  it.each([
    [{}, /fault: .*error_503/],
    [{ fault: 'explode' }, /fault: /],
    [{ fault: 'error_500', after: 3 }, /"after" means nothing for error_500/],
    [{ fault: 'slow', share: 0.5 }, /"share" means nothing for slow/],
    [{ fault: 'error_500', share: 2 }, /share: /],
    [{ fault: 'error_500', shares: 2 }, /shares/],
    ['slow', /no such fault/],
  ])('that make no sense are refused with the reason: %j', (given, reason) => {
    const { faults } = setUp()
    expect(() => faults.set(given)).toThrow(reason)
    expect(faults.list()).toEqual([])
  })
})
