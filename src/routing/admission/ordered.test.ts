import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  before,
  countWhile,
  createOrdered,
  firstOf,
  insert,
  lastOf,
  nextAfter,
  remove,
  sizeOf,
  sumOf,
} from './ordered.ts'

const numbers = {
  key: (item: number) => Math.floor(item / 4),
  tie: (a: number, b: number) => a - b,
  measure: (item: number) => item,
}

describe('an ordered set', () => {
  it('answers like a sorted list, whatever is put in and taken out', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(40)), { maxLength: 120 })
    fc.assert(
      fc.property(steps, fc.nat(42), (changes, probe) => {
        const set = createOrdered(numbers)
        const list = new Set<number>()
        for (const [puts, item] of changes) {
          if (puts && !list.has(item)) insert(set, item)
          if (!puts && list.has(item)) remove(set, item)
          if (puts) list.add(item)
          else list.delete(item)
        }
        const sorted = [...list].sort((a, b) => a - b)
        const smaller = sorted.filter((item) => item < probe)
        const sum = (items: number[]) => items.reduce((total, item) => total + item, 0)
        expect(firstOf(set)).toBe(sorted[0])
        expect(lastOf(set)).toBe(sorted.at(-1))
        expect(sizeOf(set)).toBe(sorted.length)
        expect(sumOf(set)).toBe(sum(sorted))
        expect(before(set, probe)).toEqual({ count: smaller.length, sum: sum(smaller) })
        const walked: number[] = []
        for (let item = firstOf(set); item !== undefined; item = nextAfter(set, item)) walked.push(item)
        expect(walked).toEqual(sorted)
        const sumsBefore = sorted.map((_, index) => sum(sorted.slice(0, index)))
        expect(countWhile(set, (_, sumBefore) => sumBefore < probe)).toBe(
          sumsBefore.filter((sumBefore) => sumBefore < probe).length,
        )
      }),
      { numRuns: 500 },
    )
  })

  it('stays shallow when items come in order', () => {
    let compared = 0
    const set = createOrdered({
      key: () => 0,
      tie: (a: number, b: number) => {
        compared++
        return a - b
      },
    })
    for (let item = 0; item < 65_536; item++) insert(set, item)
    compared = 0
    nextAfter(set, 40_000)
    expect(compared).toBeLessThan(64)
  })
})
