import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createComebacks } from './comebacks.ts'

const tenSeconds = 10_000

it('spreads those who are refused together as they can be served', () => {
  const comebacks = createComebacks()
  const told = Array.from({ length: 400 }, () => comebacks.next('flood', 0, tenSeconds, 25))
  expect(told.slice(0, 3)).toEqual([10_000, 10_025, 10_050])
  expect(new Set(told).size).toBe(400)
})

it('lets a tenant wait for no other', () => {
  const comebacks = createComebacks()
  for (let count = 0; count < 400; count++) comebacks.next('flood', 0, tenSeconds, 25)
  expect(comebacks.next('now and then', 0, tenSeconds, 25)).toBe(tenSeconds)
})

it('keeps nobody away for much longer than a minute, nor before there may be room', () => {
  const step = fc.record({ afterMs: fc.nat(3_000), soonestMs: fc.nat(100_000), eachMs: fc.nat(500) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const comebacks = createComebacks()
      let nowMs = 1_000
      for (const { afterMs, soonestMs, eachMs } of steps) {
        nowMs += afterMs
        const inMs = comebacks.next('one', nowMs, soonestMs, eachMs)
        expect(inMs).toBeGreaterThanOrEqual(soonestMs)
        expect(inMs).toBeLessThanOrEqual(Math.max(60_000, 2 * soonestMs))
      }
    }),
  )
})
