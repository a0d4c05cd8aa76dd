import { describe, expect, it } from 'vitest'
import type { DeviceEvent, DeviceState, Sensors } from '../contract.ts'
import { healthRules as rules } from './rules.ts'
import type { Look } from './signs.ts'
import { cardWith, judgeEvent, looks } from './testing.ts'
import { sameVerdict, verdictOf } from './verdict.ts'

/** The verdict at the last look, or at `nowS`. */
function verdict(recent: Look[], { events = [] as DeviceEvent[], device = cardWith(), nowS = -1 } = {}) {
  const nowMs = nowS >= 0 ? nowS * 1000 : (recent.at(-1)?.atMs ?? 0)
  return verdictOf({ device, recent, events, nowMs, judgeEvent })
}

function codes(...given: Parameters<typeof verdict>): string[] {
  return verdict(...given).reasons.map(({ code, state }) => `${state} ${code}`)
}

function state(atS: number, toS: number, value: DeviceState, stateReason = 'as the tool says'): Look[] {
  return looks(atS, toS).map(({ atMs }) => ({ atMs, state: value, stateReason }))
}

const xid = (code: number, atS: number): DeviceEvent => ({
  atMs: atS * 1000,
  kind: 'xid',
  code,
  pciAddress: '0000:01:00.0',
  text: `NVRM: Xid ${code}`,
})

describe('what must last', () => {
  const lasting: [string, Sensors, string][] = [
    ['near its slowdown temperature', { temperatureC: 90 }, 'hot'],
    ['slowed by heat', { throttle: ['hw_thermal', 'hw_slowdown'] }, 'throttled'],
    ['slowed by its driver for heat', { throttle: ['sw_thermal'] }, 'throttled'],
    ['slowed by its power supply', { throttle: ['hw_power_brake'] }, 'throttled'],
    ['on fewer lanes', { pcie: { generation: 4, maxGeneration: 4, width: 4, maxWidth: 16 } }, 'slow_link'],
    [
      'on a lower generation',
      { pcie: { generation: 1, maxGeneration: 4, width: 16, maxWidth: 16 } },
      'slow_link',
    ],
    ['hot with a fan that stands', { temperatureC: 80, fanRatio: 0 }, 'fan_stopped'],
    ['hot with a fan of no turns', { temperatureC: 80, fanRpm: 0, fanRatio: 0.5 }, 'fan_stopped'],
  ]

  it.each(lasting)('a card %s is degraded after ten seconds, not before', (_, sensors, code) => {
    expect(codes([...looks(0, 5), ...looks(5, 15, sensors)])).toEqual([])
    expect(codes([...looks(0, 5), ...looks(5, 16, sensors)])).toEqual([`degraded ${code}`])
  })

  it.each(lasting)(
    'a card %s is well again only when that has been over for thirty seconds',
    (_, sensors, code) => {
      const sick = looks(0, 11, sensors)
      expect(codes([...sick, ...looks(11, 41)])).toEqual([`degraded ${code}`])
      expect(codes([...sick, ...looks(11, 42)])).toEqual([])
    },
  )

  it('a peak that comes back begins the thirty seconds anew, however short it is', () => {
    const hot = { temperatureC: 93 }
    const recent = [...looks(0, 11, hot), ...looks(11, 35), ...looks(35, 36, hot), ...looks(36, 65)]
    expect(codes(recent)).toEqual(['degraded hot'])
    expect(codes([...recent, ...looks(65, 67)])).toEqual([])
  })

  it('two looks far apart are no ten seconds', () => {
    expect(codes([...looks(0, 1, { temperatureC: 93 }), ...looks(10, 11, { temperatureC: 93 })])).toEqual([])
  })

  it('a silence breaks what was being timed', () => {
    const hot = { temperatureC: 93 }
    expect(codes([...looks(0, 8, hot), ...looks(30, 35, hot)])).toEqual([])
  })

  it('so does a clock that is set back, and what follows is timed as ever', () => {
    const hot = { temperatureC: 93 }
    expect(codes([...looks(1000, 1008, hot), ...looks(0, 10, hot)])).toEqual([])
    expect(codes([...looks(1000, 1008, hot), ...looks(0, 11, hot)])).toEqual(['degraded hot'])
  })

  it('a look that does not tell neither confirms nor clears', () => {
    const silent = looks(11, 60).map(({ atMs }) => ({ atMs, state: 'ok' as const }))
    expect(codes([...looks(0, 11, { temperatureC: 93 }), ...silent])).toEqual(['degraded hot'])
  })
})

describe('what is no fault', () => {
  const fine: [string, Sensors][] = [
    ['a power limit that binds', { throttle: ['power_cap'] }],
    ['the slow clocks of an idle card', { throttle: ['idle', 'hw_slowdown'] }],
    ['clocks that somebody set', { throttle: ['application_clocks', 'sync_boost', 'display_clocks'] }],
    ['memory that is almost full', { memoryUsedBytes: 99, memoryTotalBytes: 100 }],
    ['a fan that rests while the card is cool', { fanRatio: 0, temperatureC: 55 }],
    [
      'the low generation of an idle card',
      { utilization: 0, pcie: { generation: 1, maxGeneration: 4, width: 16, maxWidth: 16 } },
    ],
    ['a link wider than told', { pcie: { generation: 5, maxGeneration: 4, width: 16, maxWidth: 8 } }],
    ['one corrected error ever', { ecc: { corrected: 1 } }],
    ['a few rows retired long ago', { ecc: { retired: 12 } }],
    ['a temperature below the margin', { temperatureC: 89.9 }],
  ]

  it.each(fine)('%s', (_, sensors) => {
    expect(verdict(looks(0, 120, sensors))).toEqual({ state: 'healthy', reasons: [] })
  })

  it('fewer lanes than the chip can do, on a board that was built with them', () => {
    const device = cardWith({ facts: { tflops: {}, supports: {}, pcie: { generation: 4, width: 8 } } })
    const pcie = { generation: 4, maxGeneration: 4, width: 8, maxWidth: 16 }
    expect(codes(looks(0, 60, { pcie }), { device })).toEqual([])
    expect(codes(looks(0, 60, { pcie: { ...pcie, width: 4 } }), { device })).toEqual(['degraded slow_link'])
  })

  it('93 C of a processor, which is hot for a card that does not tell where it slows down', () => {
    const sensors = { ...looks(0, 1)[0]?.sensors, temperatureC: 93 }
    delete sensors.slowdownC
    const recent = looks(0, 60).map((look) => ({ ...look, sensors }))
    expect(codes(recent, { device: cardWith({ kind: 'cpu', vendor: 'cpu' }) })).toEqual([])
    expect(codes(recent)).toEqual(['degraded hot'])
  })

  it('91 C of a card that said when it was found that it slows down at 100', () => {
    const recent = looks(0, 60).map((look) => ({ ...look, sensors: { temperatureC: 91 } }))
    expect(codes(recent, { device: cardWith({ sensors: { slowdownC: 100 } }) })).toEqual([])
    expect(codes(recent)).toEqual(['degraded hot'])
  })

  it('a slowdown "temperature" that is a margin', () => {
    expect(codes(looks(0, 60, { slowdownC: -2 }))).toEqual([])
  })
})

describe('memory errors', () => {
  it.each<[string, Sensors['ecc'], string]>([
    ['an error that could not be corrected', { uncorrected: 1 }, 'failing ecc_uncorrected'],
    ['a failed repair', { remapFailed: true }, 'failing remap_failed'],
    ['a repair that waits for a reset', { pending: true }, 'degraded remap_pending'],
    ['very many retired rows', { retired: 60 }, 'degraded rows_retired'],
  ])('%s counts at once', (_, ecc, expected) => {
    expect(codes(looks(0, 1, { ecc: ecc ?? {} }))).toEqual([expected])
  })

  it('corrected errors count when they go on rising, for ten minutes', () => {
    const risen = [
      ...looks(0, 5),
      ...looks(5, 9, { ecc: { corrected: 1 } }),
      ...looks(9, 12, { ecc: { corrected: 2 } }),
    ]
    expect(codes(risen)).toEqual(['degraded ecc_corrected'])
    const later = looks(12, 606, { ecc: { corrected: 2 } })
    expect(codes([...risen, ...later.slice(0, 500)])).toEqual(['degraded ecc_corrected'])
    expect(codes([...risen, ...later])).toEqual([])
  })

  it('a row retired just now counts', () => {
    expect(codes([...looks(0, 5, { ecc: { retired: 3 } }), ...looks(5, 6, { ecc: { retired: 4 } })])).toEqual(
      ['degraded rows_retired'],
    )
  })

  it('a counter that is left out of some looks is compared with when it was told last', () => {
    const told = (atS: number, corrected: number) => looks(atS, atS + 1, { ecc: { corrected } })
    const recent = [...told(0, 1), ...looks(1, 3, { ecc: { enabled: true } }), ...told(3, 4)]
    expect(codes(recent)).toEqual(['degraded ecc_corrected'])
  })

  it('a counter that begins anew has not risen', () => {
    const recent = [...looks(0, 5, { ecc: { corrected: 900 } }), ...looks(5, 9, { ecc: { corrected: 1 } })]
    expect(codes(recent)).toEqual([])
  })
})

describe('cards that do not answer', () => {
  it('a lost card is lost at once, and back thirty seconds after it answers', () => {
    const gone = [...looks(0, 5), ...state(5, 9, 'lost', 'GPU is lost')]
    const [reason] = verdict(gone).reasons
    expect(reason).toMatchObject({ code: 'lost', state: 'lost', text: 'the card is gone: GPU is lost' })
    expect(verdict([...gone, ...looks(9, 39)]).state).toBe('lost')
    expect(verdict([...gone, ...looks(9, 40)]).state).toBe('healthy')
  })

  it('a card in error is failing when that is said again', () => {
    expect(codes([...looks(0, 5), ...state(5, 6, 'error')])).toEqual([])
    expect(codes([...looks(0, 5), ...state(5, 7, 'error')])).toEqual(['failing error'])
  })

  it.each<DeviceState>(['hidden', 'excluded', 'no_permission'])(
    'a card that is %s is no sick card',
    (value) => {
      expect(codes(state(0, 60, value))).toEqual([])
    },
  )

  it('before the first look the state in which it was found counts', () => {
    const device = cardWith({ state: 'lost', stateReason: 'needs a reset' })
    expect(verdict([], { device })).toMatchObject({ state: 'lost', reasons: [{ text: 'needs a reset' }] })
    expect(verdict([]).state).toBe('healthy')
  })

  it('sensors that fall silent degrade it, and say for how long', () => {
    expect(codes(looks(0, 5), { nowS: 14 })).toEqual([])
    expect(verdict(looks(0, 5), { nowS: 20 }).reasons).toMatchObject([
      { code: 'unanswered', state: 'degraded', text: 'its sensors have not answered for 16 s' },
    ])
  })
})

describe('the kernel log', () => {
  it.each([
    [79, 'lost'],
    [48, 'failing'],
    [63, 'degraded'],
  ])('XID %i makes it %s at once', (code, expected) => {
    const health = verdict(looks(0, 60), { events: [xid(code, 59)] })
    expect(health).toMatchObject({
      state: expected,
      reasons: [{ code: 'xid', advice: `advice for ${code}` }],
    })
    expect(health.reasons[0]?.text).toBe(`Xid ${code}: meaning of ${code}, 0 s ago`)
  })

  it('a fault stands while the card goes on without a reset, for an hour', () => {
    expect(verdict(looks(0, 3500), { events: [xid(48, 5)] }).state).toBe('failing')
    expect(verdict(looks(0, 3700), { events: [xid(48, 5)] }).state).toBe('healthy')
  })

  it('a card that was away and is back has left its XIDs behind', () => {
    const away = [...looks(0, 5), ...state(5, 10, 'error')]
    const events = [xid(79, 5)]
    expect(verdict(away, { events }).state).toBe('lost')
    expect(codes([...away, ...looks(10, 30)], { events })).toEqual(['failing error'])
    expect(codes([...away, ...looks(10, 41)], { events })).toEqual([])
  })

  it('a count of hard errors that begins anew tells of a reset', () => {
    const recent = [...looks(0, 5, { ecc: { uncorrected: 2 } }), ...looks(5, 40)]
    expect(codes(recent, { events: [xid(48, 3)] })).toEqual([])
  })

  it("a program's own faults count when they repeat, and the lines of one crash count once", () => {
    expect(codes(looks(0, 60), { events: [xid(31, 10), xid(31, 10), xid(31, 11), xid(31, 12)] })).toEqual([])
    expect(codes(looks(0, 60), { events: [xid(31, 10), xid(31, 30), xid(31, 50)] })).toEqual(['degraded xid'])
    expect(codes(looks(0, 3000), { events: [xid(31, 10), xid(31, 30), xid(31, 2900)] })).toEqual([])
  })

  it('a storm of lines counts more than once', () => {
    const events = Array.from({ length: 30 }, (_, index) => xid(13, index * 2))
    expect(codes(looks(0, 60), { events })).toEqual(['degraded xid'])
  })

  it('what follows when a program is killed is no reason, however often, nor what nobody knows', () => {
    const events = [10, 20, 30, 40, 50].flatMap((atS) => [xid(45, atS), xid(999, atS)])
    expect(codes(looks(0, 60), { events })).toEqual([])
  })

  it('a reset by the driver degrades it, three within ten minutes are a failing card', () => {
    const reset = (atS: number): DeviceEvent => ({
      atMs: atS * 1000,
      kind: 'driver_reset',
      text: 'GPU reset begin!',
    })
    expect(codes(looks(0, 60), { events: [reset(50)] })).toEqual(['degraded driver_reset'])
    const three = [reset(10), reset(30), reset(50)]
    expect(codes(looks(0, 60), { events: three })).toEqual(['failing driver_reset'])
    expect(codes(looks(0, 700), { events: three })).toEqual([])
  })

  it('the gravest reason comes first', () => {
    const events = [xid(63, 50), xid(79, 51)]
    expect(codes(looks(0, 60, { temperatureC: 94, ecc: { uncorrected: 1 } }), { events })).toEqual([
      'lost xid',
      'failing ecc_uncorrected',
      'degraded hot',
      'degraded xid',
    ])
  })
})

describe('verdicts', () => {
  it('a verdict is the same as another when its codes and states are, whatever its values', () => {
    const at = (temperatureC: number) => verdict(looks(0, 20, { temperatureC }))
    expect(at(93)).not.toEqual(at(94))
    expect(sameVerdict(at(93), at(94))).toBe(true)
    expect(sameVerdict(at(93), at(60))).toBe(false)
  })

  it('rules can be changed', () => {
    const device = cardWith()
    const recent = looks(0, 3, { temperatureC: 94 })
    const quick = { ...rules, holdMs: 1000, recoverMs: 2000 }
    expect(verdictOf({ device, recent, events: [], nowMs: 2000, judgeEvent, rules: quick }).state).toBe(
      'degraded',
    )
  })
})
