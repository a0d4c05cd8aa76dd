import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createHistogram, largestValue } from './histogram.ts'

const values = fc.array(fc.integer({ min: 0, max: 5000 }), { minLength: 1, maxLength: 60 })

/** Remembers so long that nothing fades. */
function filled(numbers: readonly number[]) {
  const histogram = createHistogram(1e9)
  for (const value of numbers) histogram.add(value)
  return histogram
}

describe('a histogram of logarithmic buckets', () => {
  it('is exact for small numbers', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 15 }), { minLength: 1 }),
        fc.integer({ min: 0, max: 15 }),
        (numbers, above) => {
          const longer = numbers.filter((value) => value > above)
          const histogram = filled(numbers)
          expect(histogram.weightAbove(above)).toBeCloseTo(longer.length, 3)
          expect(histogram.sumAbove(above)).toBeCloseTo(
            longer.reduce((sum, value) => sum + value, 0),
            2,
          )
        },
      ),
    )
  })

  it('counts what lies above a number as a count by hand does, but for the numbers in its own bucket', () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 0, max: 5000 }), (numbers, above) => {
        const histogram = filled(numbers)
        const surely = numbers.filter((value) => value > above * 1.25 + 1).length
        const perhaps = numbers.filter((value) => value > above / 1.25 - 1).length
        expect(histogram.weightAbove(above)).toBeGreaterThanOrEqual(surely - 1e-3)
        expect(histogram.weightAbove(above)).toBeLessThanOrEqual(perhaps + 1e-3)
      }),
    )
  })

  it('finds quantiles to within a bucket', () => {
    fc.assert(
      fc.property(values, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (numbers, share) => {
        const sorted = numbers.toSorted((a, b) => a - b)
        const low = sorted[Math.max(0, Math.ceil(share * sorted.length - 1e-3) - 1)] ?? 0
        const high = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length + 1e-3))] ?? 0
        const found = filled(numbers).quantile(share) ?? Number.NaN
        expect(found).toBeGreaterThanOrEqual(low / 1.25 - 1)
        expect(found).toBeLessThanOrEqual(high * 1.25 + 1)
      }),
    )
  })

  it('knows no quantile of nothing', () => {
    expect(createHistogram(10).quantile(0.5)).toBeUndefined()
  })

  it('forgets: after many short ones, the long ones from before hardly count', () => {
    const histogram = createHistogram(20)
    for (let i = 0; i < 100; i++) histogram.add(1000)
    for (let i = 0; i < 100; i++) histogram.add(10)
    expect(histogram.weight).toBeCloseTo(20, 0)
    expect(histogram.weightAbove(100) / histogram.weight).toBeLessThan(0.01)
    expect(histogram.quantile(0.9)).toBeCloseTo(10, 0)
  })

  it('spreads what was cut off over what reaches farther', () => {
    const histogram = filled([5, 5, 100, 1000])
    for (let i = 0; i < 8; i++) histogram.addAtLeast(50)
    expect(histogram.weight).toBeCloseTo(12, 3)
    expect(histogram.weightAbove(50)).toBeCloseTo(10, 3)
    expect(histogram.weightAbove(500)).toBeCloseTo(5, 3)
  })

  it('keeps what was cut off where it was, when nothing reaches farther', () => {
    const histogram = filled([5])
    histogram.addAtLeast(12)
    expect(histogram.weightAbove(11)).toBeCloseTo(1, 3)
    expect(histogram.weightAbove(12)).toBe(0)
  })

  it('stays finite whatever is put in', () => {
    fc.assert(
      fc.property(fc.array(fc.double()), fc.double(), (numbers, asked) => {
        const histogram = createHistogram(50)
        for (const value of numbers) {
          histogram.add(value)
          histogram.addAtLeast(value)
        }
        const found = [histogram.weight, histogram.weightAbove(asked), histogram.sumAbove(asked)]
        for (const value of found) expect(value).toSatisfy((is: number) => is >= 0 && Number.isFinite(is))
        const middle = histogram.quantile(0.5) ?? 0
        expect(middle).toSatisfy((is: number) => is >= 0 && is <= largestValue)
      }),
    )
  })
})
