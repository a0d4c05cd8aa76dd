import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createRing } from './ring.ts'

it('the oldest rows give way to the newest', () => {
  const ring = createRing(['a', 'b'], 3)
  for (let row = 1; row <= 5; row++) ring.push(row * 1000, { a: row })
  expect(ring.length).toBe(3)
  expect(ring.latest('a')).toBe(5)
  expect(ring.points('a', 4000)).toEqual([
    { atMs: 4000, value: 4 },
    { atMs: 5000, value: 5 },
  ])
})

it('a value that is absent or no finite number is read as absent', () => {
  const ring = createRing(['a', 'b', 'c', 'd'], 4)
  ring.push(1, { a: Number.NaN, b: Number.POSITIVE_INFINITY, c: 0 })
  expect((['a', 'b', 'c', 'd'] as const).map((field) => ring.latest(field))).toEqual([
    undefined,
    undefined,
    0,
    undefined,
  ])
})

it('an empty ring has no values, and one without room is refused', () => {
  expect(createRing(['a'], 1).latest('a')).toBeUndefined()
  expect(createRing(['a'], 1).points('a', 0)).toEqual([])
  expect(() => createRing(['a'], 0)).toThrow('whole number of rows')
})

it('it holds the last rows as a list would', () => {
  const row = fc.record({ a: fc.double(), b: fc.double() }, { requiredKeys: [] })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(row, { maxLength: 60 }), (capacity, rows) => {
      const ring = createRing(['a', 'b'], capacity)
      rows.forEach((values, index) => {
        ring.push(index, values)
      })
      for (const field of ['a', 'b'] as const) {
        const expected = rows.map((values, atMs) => {
          const value = values[field]
          return { atMs, value: Number.isFinite(value) ? value : undefined }
        })
        expect(ring.points(field, 0)).toEqual(expected.slice(-capacity))
        expect(ring.latest(field)).toBe(expected.at(-1)?.value)
      }
    }),
  )
})
