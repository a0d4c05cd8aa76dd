import { describe, expect, it } from 'vitest'
import { quantile, spreadOf } from './spread.ts'

describe('a spread', () => {
  it('is of values in any order', () => {
    const values = Array.from({ length: 101 }, (_, index) => (index * 37) % 101)
    expect(spreadOf(values)).toEqual({ mean: 50, p50: 50, p90: 90, p99: 99 })
  })

  it('is all zero where there is nothing', () => {
    expect(spreadOf([])).toEqual({ mean: 0, p50: 0, p90: 0, p99: 0 })
  })

  it('grows evenly between two values', () => {
    expect(quantile([10, 20], 0.25)).toBe(12.5)
    expect(quantile([7], 0.99)).toBe(7)
  })
})
