import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DeviceEvent, DeviceState, Health, Sensors, ThrottleReason } from '../contract.ts'
import type { Look } from './signs.ts'
import { cardWith, judgeEvent, looks } from './testing.ts'
import { verdictOf } from './verdict.ts'

/** The verdict at the last look. */
function verdict(recent: Look[]): Health {
  const nowMs = recent.at(-1)?.atMs ?? 0
  return verdictOf({ device: cardWith(), recent, events: [], nowMs, judgeEvent })
}

describe('whatever is seen', () => {
  const number = fc.oneof(
    fc.integer({ min: -50, max: 200 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  )
  const sensors = fc.record(
    {
      temperatureC: number,
      slowdownC: number,
      utilization: number,
      fanRatio: number,
      fanRpm: number,
      throttle: fc.array(
        fc.constantFrom<ThrottleReason>('idle', 'power_cap', 'hw_thermal', 'hw_slowdown', 'sw_thermal'),
      ),
      ecc: fc.record(
        {
          corrected: fc.nat(),
          uncorrected: fc.nat(3),
          retired: fc.nat(80),
          pending: fc.boolean(),
          remapFailed: fc.boolean(),
        },
        { requiredKeys: [] },
      ),
      pcie: fc.record(
        { generation: fc.nat(6), maxGeneration: fc.nat(6), width: fc.nat(16), maxWidth: fc.nat(16) },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: [] },
  )
  const oneLook = fc.record({
    gapMs: fc.integer({ min: 0, max: 15_000 }),
    state: fc.constantFrom<DeviceState>('ok', 'ok', 'ok', 'lost', 'error', 'hidden'),
    sensors,
  })
  const history = fc.array(oneLook, { maxLength: 60 }).map((steps) => {
    let atMs = 0
    return steps.map(({ gapMs, state: value, sensors: seen }): Look => {
      atMs += gapMs
      return { atMs, state: value, sensors: seen }
    })
  })
  const someEvents = fc.array(
    fc.record({
      atMs: fc.integer({ min: 0, max: 900_000 }),
      kind: fc.constantFrom<DeviceEvent['kind']>('xid', 'sxid', 'fallen_off_bus', 'driver_reset', 'other'),
      code: fc.constantFrom(13, 31, 45, 48, 63, 79, 500),
      text: fc.string(),
    }),
    { maxLength: 8 },
  )
  const gravity = { healthy: 0, degraded: 1, failing: 2, lost: 3 }

  it('there is a verdict, its state is that of its gravest reason, and its texts are whole', () => {
    fc.assert(
      fc.property(history, someEvents, fc.nat(900_000), (recent, events, nowMs) => {
        const health = verdictOf({ device: cardWith(), recent, events, nowMs, judgeEvent })
        const graves = health.reasons.map((reason) => gravity[reason.state])
        expect(graves).toEqual(graves.toSorted((a, b) => b - a))
        expect(gravity[health.state]).toBe(graves[0] ?? 0)
        for (const { text } of health.reasons) expect(text).not.toMatch(/undefined|NaN|Infinity|\[object/)
      }),
      { numRuns: 300 },
    )
  })

  it('thirty seconds of looks that deny everything clear all but what the counters and the kernel told', () => {
    fc.assert(
      fc.property(history, (recent) => {
        const fromS = Math.ceil((recent.at(-1)?.atMs ?? 0) / 1000) + 1
        const { reasons } = verdict([...recent, ...looks(fromS, fromS + 41)])
        const counters = ['ecc_corrected', 'rows_retired']
        expect(reasons.filter(({ code }) => !counters.includes(code))).toEqual([])
      }),
      { numRuns: 200 },
    )
  })

  it('it never gets better in less than thirty seconds from the last look that showed the fault', () => {
    const faults: Sensors[] = [
      { temperatureC: 99 },
      { throttle: ['hw_thermal'] },
      { ecc: { uncorrected: 1 } },
    ]
    fc.assert(
      fc.property(
        fc.constantFrom(...faults),
        fc.integer({ min: 11, max: 60 }),
        fc.nat(29),
        (fault, sickS, wellS) => {
          const recent = [...looks(0, sickS, fault), ...looks(sickS, sickS + wellS)]
          expect(verdict(recent).state).not.toBe('healthy')
        },
      ),
    )
  })

  it('no run of hot looks shorter than ten seconds ever counts', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 30 })), {
          maxLength: 20,
        }),
        (runs) => {
          let atS = 0
          const recent: Look[] = []
          for (const [hotS, coolS] of runs) {
            recent.push(
              ...looks(atS, atS + hotS, { temperatureC: 94 }),
              ...looks(atS + hotS, atS + hotS + coolS),
            )
            atS += hotS + coolS
            expect(verdict(recent).state).toBe('healthy')
          }
        },
      ),
      { numRuns: 50 },
    )
  })
})
