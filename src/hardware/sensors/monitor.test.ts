import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLogger } from '../../observability/index.ts'
import type { Device, DeviceProbe, DeviceReading, HostSystem, Sensors } from '../contract.ts'
import { cardWith, judgeEvent, wellSensors } from '../health/testing.ts'
import { createMonitor, type Monitor, type VerdictChange } from './monitor.ts'

/** No probe here reads the machine. */
const system: HostSystem = {
  platform: 'linux',
  env: {},
  run: async () => ({ outcome: 'missing', stdout: '', stderr: '' }),
  readText: () => undefined,
  list: () => [],
  realPath: () => undefined,
  mayUse: () => undefined,
}

const cards = [0, 1, 2].map((index) =>
  cardWith({ id: `card ${index}`, uuid: `GPU-${index}`, pciAddress: `0000:0${index}:00.0`, index }),
)

function reading(card: Device, different: Sensors = {}): DeviceReading {
  const { vendor, uuid } = card
  return { vendor, source: 'test', ...(uuid && { uuid }), sensors: { ...wellSensors, ...different } }
}

let lines: string[]
let changes: string[]
let devices: Device[]
let answer: () => Promise<DeviceReading[]>
let asked: number
let monitor: Monitor

/** A probe that answers what the test says. */
const probe: DeviceProbe = {
  vendor: 'nvidia',
  list: async () => ({ vendor: 'nvidia', devices: [], links: [], places: [], problems: [] }),
  sample: () => {
    asked++
    return answer()
  },
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 })
  lines = []
  changes = []
  devices = cards
  asked = 0
  answer = async () => cards.map((card) => reading(card))
})

afterEach(() => {
  monitor.close()
  vi.useRealTimers()
})

function start(probes: readonly DeviceProbe[] = [probe]) {
  monitor = createMonitor({
    system,
    probes,
    devices: () => devices,
    judgeEvent,
    log: createLogger({ level: 'info', pretty: true, destination: { write: (line) => lines.push(line) } }),
    onVerdict: ({ device, before, after }: VerdictChange) =>
      changes.push(`${device.id}: ${before.state} > ${after.state} ${after.reasons.map(({ code }) => code)}`),
  })
}

const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000)

describe('the looks', () => {
  it('come once a second, the first at once', async () => {
    start()
    await pass(0)
    expect(asked).toBe(1)
    await pass(10)
    expect(asked).toBe(11)
  })

  it('are kept: the last with all of it, the numbers as a history', async () => {
    let temperatureC = 50
    answer = async () => [reading(cards[0] ?? cardWith(), { temperatureC: temperatureC++ })]
    start()
    await pass(5)
    expect(monitor.latest('card 0')).toMatchObject({ state: 'ok', sensors: { temperatureC: 55 } })
    expect(monitor.history('card 0', 'temperatureC', 2000)).toEqual([
      { atMs: 1_003_000, value: 53 },
      { atMs: 1_004_000, value: 54 },
      { atMs: 1_005_000, value: 55 },
    ])
    expect(monitor.history('card 0', 'fanRpm', 1500).map(({ value }) => value)).toEqual([
      undefined,
      undefined,
    ])
    expect(monitor.latest('card 1')).toBeUndefined()
    expect(monitor.history('nowhere', 'powerWatts', 1e9)).toEqual([])
  })

  it('leave out a probe that has no devices', async () => {
    devices = cards.map((card) => ({ ...card, vendor: 'amd' as const }))
    start()
    await pass(5)
    expect(asked).toBe(0)
  })

  it('go on beside a probe that hangs, which is asked again only when it has answered', async () => {
    let release: (readings: DeviceReading[]) => void = () => undefined
    answer = () => new Promise((resolve) => (release = resolve))
    const amd = cardWith({ id: 'amd', vendor: 'amd', uuid: '0xa' })
    let others = 0
    const other: DeviceProbe = {
      ...probe,
      vendor: 'amd',
      sample: async () => {
        others++
        return [reading(amd)]
      },
    }
    devices = [...cards, amd]
    start([probe, other])
    await pass(8)
    expect({ asked, others }).toEqual({ asked: 1, others: 9 })
    expect(lines.filter((line) => line.includes('slow to answer'))).toHaveLength(1)
    release(cards.map((card) => reading(card)))
    answer = async () => cards.map((card) => reading(card))
    await pass(2)
    expect(asked).toBe(3)
    expect(monitor.latest('card 0')?.atMs).toBe(1_010_000)
    expect(lines.filter((line) => line.includes('in time again'))).toHaveLength(1)
  })

  it('end with close, and a late answer is dropped', async () => {
    answer = () => new Promise((resolve) => setTimeout(() => resolve([reading(cards[0] ?? cardWith())]), 500))
    start()
    await pass(0.1)
    monitor.close()
    await pass(10)
    expect(asked).toBe(1)
    expect(monitor.latest('card 0')).toBeUndefined()
  })
})

describe('the verdicts', () => {
  it('are told when they change, not with every value', async () => {
    let temperatureC = 91
    answer = async () => [
      reading(cards[0] ?? cardWith(), { temperatureC: temperatureC === 60 ? 60 : temperatureC++ }),
    ]
    start()
    await pass(30)
    expect(changes).toEqual(['card 0: healthy > degraded hot'])
    expect(monitor.health('card 0').reasons[0]?.text).toBe('121 C, hot from 90 C (slows down at 95 C)')
    temperatureC = 60
    await pass(40)
    expect(changes).toEqual(['card 0: healthy > degraded hot', 'card 0: degraded > healthy '])
    expect(lines.map((line) => line.replace(/^\S+ /, '').slice(0, 22).trim())).toEqual([
      'warn  device is worse',
      'info  device is better',
    ])
  })

  it('call a card lost that is left out twice running, and healthy thirty seconds after it is back', async () => {
    start()
    await pass(3)
    answer = async () => cards.slice(1).map((card) => reading(card))
    await pass(1)
    expect(changes).toEqual([])
    await pass(1)
    expect(changes).toEqual(['card 0: healthy > lost lost'])
    expect(monitor.history('card 0', 'temperatureC', 0)).toEqual([{ atMs: 1_005_000, value: undefined }])
    answer = async () => cards.map((card) => reading(card))
    await pass(29)
    expect(monitor.health('card 0').state).toBe('lost')
    await pass(3)
    expect(changes.slice(1)).toEqual(['card 0: lost > healthy '])
  })

  it.each<[string, DeviceReading[]]>([
    ['nothing', []],
    [
      'an error of every card for one reason',
      cards.map(({ uuid }) => ({
        vendor: 'nvidia',
        source: 'test',
        ...(uuid && { uuid }),
        state: 'error',
        stateReason: 'timeout',
      })),
    ],
    ['only the lost card', [{ vendor: 'nvidia', source: 'test', uuid: 'GPU-0', state: 'lost' }]],
  ])('do not blame cards where the tool tells of %s: it may have failed', async (_, told) => {
    start()
    await pass(3)
    answer = async () => told
    await pass(8)
    expect(monitor.health('card 1').state).toBe('healthy')
    await pass(5)
    expect(monitor.health('card 1').reasons.map(({ code }) => code)).toEqual(['unanswered'])
    expect(monitor.health('card 0').state).toBe(told[0]?.state === 'lost' ? 'lost' : 'degraded')
  })

  it('stand while a probe fails, and say that the sensors are silent', async () => {
    start()
    await pass(3)
    answer = () => Promise.reject(new Error('the driver is being updated'))
    await pass(20)
    expect(monitor.health('card 2').reasons.map(({ code }) => code)).toEqual(['unanswered'])
    expect(lines.filter((line) => line.includes('could not be read'))).toHaveLength(1)
  })

  it('never call a device lost that no look has told of', async () => {
    devices = [...cards, cardWith({ id: 'unseen', uuid: 'GPU-9', pciAddress: '0000:99:00.0', index: 9 })]
    start()
    await pass(20)
    expect(monitor.health('unseen')).toEqual({ state: 'healthy', reasons: [] })
  })

  it('follow what the kernel tells at once, for the card that it names and its partitions', async () => {
    devices = [
      ...cards,
      cardWith({
        id: 'part',
        kind: 'partition',
        uuid: 'MIG-1',
        pciAddress: '0000:01:00.0',
        parentId: 'card 1',
      }),
    ]
    start()
    await pass(3)
    monitor.note({ atMs: Date.now(), kind: 'xid', code: 79, pciAddress: '0000:01:00.0', text: 'Xid 79' })
    expect(changes).toEqual(['card 1: healthy > lost xid', 'part: healthy > lost xid'])
    expect(monitor.events('card 1')).toHaveLength(1)
    expect(monitor.events('card 0')).toHaveLength(0)
    monitor.note({ atMs: Date.now(), kind: 'xid', code: 79, text: 'of no card' })
    expect(changes).toHaveLength(2)
  })

  it('of a partition share the fate of its card', async () => {
    devices = [...cards, cardWith({ id: 'part', kind: 'partition', uuid: 'MIG-1', parentId: 'card 1' })]
    start()
    await pass(3)
    answer = async () => [
      ...[0, 2].map((index) => reading(cards[index] ?? cardWith())),
      { vendor: 'nvidia', source: 'test', uuid: 'GPU-1', state: 'lost', stateReason: 'GPU is lost' },
    ]
    await pass(1)
    expect(changes).toEqual(['card 1: healthy > lost lost', 'part: healthy > lost lost'])
  })

  it('outlive a moment in which the inventory has not got the card, not an hour', async () => {
    start()
    await pass(3)
    monitor.note({ atMs: Date.now(), kind: 'fallen_off_bus', pciAddress: '0000:01:00.0', text: 'gone' })
    devices = cards.slice(0, 1)
    await pass(60)
    expect(monitor.health('card 1').state).toBe('lost')
    devices = cards
    await pass(60)
    expect(monitor.health('card 1').state).toBe('lost')
    devices = cards.slice(0, 1)
    await pass(700)
    expect(monitor.latest('card 1')).toBeUndefined()
  })
})
