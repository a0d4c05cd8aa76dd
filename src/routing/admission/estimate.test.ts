import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { waitEstimateMs } from './estimate.ts'

describe('the estimate of a wait', () => {
  it('is nothing where a slot is free', () => {
    expect(waitEstimateMs({ position: 0, slots: 2, runningMs: [700], meanServiceMs: 1000 })).toBe(0)
  })

  it('is the end of the request that ends first', () => {
    expect(waitEstimateMs({ position: 0, slots: 2, runningMs: [700, 300], meanServiceMs: 1000 })).toBe(300)
  })

  it('counts those before, slot by slot', () => {
    const facts = { slots: 2, runningMs: [700, 300], meanServiceMs: 1000 }
    const waits = [0, 1, 2, 3, 4].map((position) => waitEstimateMs({ ...facts, position }))
    expect(waits).toEqual([300, 700, 1300, 1700, 2300])
  })

  it('does not count on a slot that stays taken for long', () => {
    const facts = { slots: 2, runningMs: [0, 1_000_000], meanServiceMs: 10 }
    expect(waitEstimateMs({ ...facts, position: 5 })).toBe(50)
  })

  it('is for ever where nothing runs', () => {
    expect(waitEstimateMs({ position: 0, slots: 0, runningMs: [], meanServiceMs: 10 })).toBe(
      Number.POSITIVE_INFINITY,
    )
  })

  it('says what a simulation of the slots says', () => {
    const facts = fc.record({
      position: fc.nat(200),
      slots: fc.integer({ min: 1, max: 12 }),
      runningMs: fc.array(fc.integer({ min: -5, max: 5000 }), { maxLength: 16 }),
      meanServiceMs: fc.integer({ min: 0, max: 700 }),
    })
    fc.assert(
      fc.property(facts, (given) => {
        expect(waitEstimateMs(given)).toBe(simulated(given))
      }),
      { numRuns: 2000 },
    )
  })
})

function simulated({
  position,
  slots,
  runningMs,
  meanServiceMs,
}: Parameters<typeof waitEstimateMs>[0]): number {
  const idle = Array.from({ length: Math.max(0, slots - runningMs.length) }, () => 0)
  const freeAt = [...runningMs.map((ms) => Math.max(0, ms)), ...idle].sort((a, b) => a - b).slice(-slots)
  for (let ahead = 0; ahead < position; ahead++) {
    freeAt.push((freeAt.shift() ?? 0) + meanServiceMs)
    freeAt.sort((a, b) => a - b)
  }
  return freeAt[0] ?? 0
}
