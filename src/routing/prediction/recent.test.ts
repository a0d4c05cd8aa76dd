import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRecent } from './recent.ts'

describe('a map of bounded size', () => {
  it('drops what was used longest ago, and looking is no use', () => {
    const recent = createRecent<string, number>(2)
    recent.use('a', () => 1)
    recent.use('b', () => 2)
    recent.use('a', () => 9)
    recent.peek('b')
    recent.use('c', () => 3)
    expect([...recent.entries()]).toEqual([
      ['a', 1],
      ['c', 3],
    ])
  })

  it('holds exactly the keys that were used last, in any order of use', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 20 })),
        fc.integer({ min: 1, max: 8 }),
        (uses, limit) => {
          const recent = createRecent<number, number>(limit)
          for (const key of uses) recent.use(key, () => key)
          const last = [...new Set(uses.toReversed())].slice(0, limit).reverse()
          expect([...recent.entries()].map(([key]) => key)).toEqual(last)
          expect(recent.size).toBe(last.length)
        },
      ),
    )
  })
})
