import { describe, expect, it } from 'vitest'
import { healthRules, judgeEvent, verdictOf } from '../../../hardware/index.ts'
import { card, codesOf, findingOf, machine } from '../testing.ts'

type Card = ReturnType<typeof card>

/** A card as one look at these sensors judges it, by the real rules. */
function seen(changes: Partial<Card>, events: Parameters<typeof verdictOf>[0]['events'] = []): Card {
  const device = card(changes)
  const { state, sensors } = device
  const rules = { ...healthRules, holdMs: 0, leastLooks: 1, errorLooks: 1, eventStandsMs: 86_400_000 }
  const look = { atMs: 90_000_000, state, ...(sensors && { sensors }) }
  const health = verdictOf({ device, recent: [look], events, rules, nowMs: 90_000_000, judgeEvent })
  return { ...device, health }
}

const facts = (device: Card) => machine({ devices: [device] })

describe('what the sensors show', () => {
  const cases: [string, Partial<Card>, string, RegExp][] = [
    ['heat', { sensors: { temperatureC: 93, slowdownC: 95 } }, 'hot', /93 C.*slows down at 95 C/],
    ['throttling', { sensors: { throttle: ['hw_thermal'] } }, 'throttled', /hw_thermal/],
    ['a power brake', { sensors: { throttle: ['hw_power_brake'] } }, 'throttled', /hw_power_brake/],
    [
      'a fan that stands still',
      { sensors: { temperatureC: 88, fanRatio: 0 } },
      'fan_stopped',
      /stands still at 88/,
    ],
    [
      'memory that waits for repair',
      { sensors: { ecc: { pending: true } } },
      'remap_pending',
      /waits for a reset/,
    ],
    [
      'four lanes where sixteen could be',
      { pcie: { generation: 4, width: 4, maxGeneration: 4, maxWidth: 16 } },
      'slow_link',
      /PCIe x4 where card and slot could do x16/,
    ],
    [
      'an older generation under load',
      {
        pcie: { generation: 1, width: 16, maxGeneration: 4, maxWidth: 16 },
        sensors: { utilization: 0.9 },
      },
      'slow_link',
      /PCIe generation 1 under load/,
    ],
  ]
  it.each(cases)('%s is a warning with its value', (_, changes, code, text) => {
    const machineFacts = facts(seen(changes))
    expect(codesOf(machineFacts)).toEqual([code])
    expect(findingOf(machineFacts, code)).toMatchObject({
      level: 'warning',
      detail: expect.stringMatching(text),
      advice: expect.stringMatching(/^[A-Z].*\.$/),
    })
  })

  it('errors of memory that could not be corrected are an error', () => {
    const found = findingOf(facts(seen({ sensors: { ecc: { uncorrected: 3 } } })), 'ecc_uncorrected')
    expect(found).toMatchObject({ level: 'error', command: 'sudo nvidia-smi --gpu-reset -i 0' })
  })

  it('of an idle card a slow link says nothing', () => {
    const idle = { generation: 1, width: 16, maxGeneration: 4, maxWidth: 16 }
    expect(codesOf(facts(seen({ pcie: idle, sensors: { utilization: 0 } })))).toEqual([])
  })
})

describe("what the kernel's log has of a card", () => {
  const xid = (code: number) => ({
    atMs: 90_000_000 - 20_000_000,
    kind: 'xid' as const,
    code,
    pciAddress: '0000:01:00.0',
    text: `Xid ${code}`,
  })

  it('is an error while it stands', () => {
    const found = findingOf(facts(seen({}, [xid(48)])), 'xid')
    expect(found.level).toBe('error')
    expect(found.detail).toMatch(/Xid 48: .*, 6 h ago\.$/)
  })

  it('is the past of a card that answers again', () => {
    expect(findingOf(facts(seen({}, [xid(79)])), 'xid').level).toBe('warning')
  })

  it('of a card that is no longer on the bus is told by its address', () => {
    const gone = { ...xid(79), pciAddress: '0000:41:00' }
    const found = findingOf(machine({ kernel: { events: [gone], killed: [] } }), 'card_vanished')
    expect(found).toMatchObject({
      level: 'error',
      title: 'The card at 0000:41:00 fell off the bus, and is gone',
    })
    const here = { ...gone, pciAddress: '0000:01:00' }
    expect(codesOf(machine({ kernel: { events: [here], killed: [] } }))).toEqual([])
  })
})

describe('a slot', () => {
  it('of four lanes is a warning for a card that was built for sixteen', () => {
    const narrow = card({ pcie: { generation: 3, width: 4, maxGeneration: 4, maxWidth: 4 } })
    expect(findingOf(facts(narrow), 'narrow_slot')).toMatchObject({
      level: 'warning',
      title: 'GPU0 (NVIDIA GeForce RTX 3090) is in a slot of 4 lanes',
      detail: expect.stringContaining('built for 16'),
    })
  })

  it('of eight lanes is left alone, and so is a card that was built for four', () => {
    expect(codesOf(facts(card({ pcie: { width: 8, maxWidth: 8 } })))).toEqual([])
    const small = card({
      pcie: { width: 4, maxWidth: 4 },
      facts: { tflops: {}, supports: {}, pcie: { generation: 4, width: 4 } },
    })
    expect(codesOf(facts(small))).toEqual([])
  })

  it('that has half of its lanes is a note, since boards share them by design', () => {
    const half = seen({ pcie: { generation: 4, width: 8, maxGeneration: 4, maxWidth: 16 } })
    expect(findingOf(facts(half), 'slow_link').level).toBe('note')
  })

  it('of an older generation than the card is a note, unless it is fast all the same', () => {
    const fast = card({
      pcie: { generation: 4, width: 16, maxGeneration: 4, maxWidth: 16 },
      facts: { tflops: {}, supports: {}, pcie: { generation: 5, width: 16 } },
    })
    expect(codesOf(facts(fast))).toEqual([])
    const old = card({ pcie: { generation: 3, width: 16, maxGeneration: 3, maxWidth: 16 } })
    expect(findingOf(facts(old), 'old_slot').detail).toContain('It gives generation 3, the card could do 4')
  })
})

describe('a device that a running Drover has set aside', () => {
  it('is told with its reason', () => {
    const aside = card({ used: false, unusedReason: 'three engines ended on it within a minute' })
    expect(findingOf(facts(aside), 'quarantined')).toMatchObject({
      level: 'warning',
      detail: 'Three engines ended on it within a minute.',
    })
  })

  it('because it is configured so is as it is meant', () => {
    const out = card({ used: false, unusedReason: 'the configuration or the engine leaves it out' })
    expect(codesOf(facts(out))).toEqual([])
  })
})
