import { type Clock, systemClock } from '../../core/index.ts'
import type { Logger } from '../../observability/index.ts'
import type { Device, DeviceEvent, DeviceProbe, DeviceReading, Health, HostSystem } from '../contract.ts'
import type { JudgeEvent } from '../health/events.ts'
import { type HealthRules, healthRules } from '../health/rules.ts'
import type { Look } from '../health/signs.ts'
import { healthOf, isWorse, sameVerdict } from '../health/verdict.ts'
import type { SensorField } from './fields.ts'
import { matcherOf } from './match.ts'
import type { RingPoint } from './ring.ts'
import { createSampler } from './sampler.ts'
import { ownHealth, takeAbsence, takeEvent, takeReading, type Watched, watch, withParent } from './watched.ts'

/** What is remembered of a device outlives its absence from the inventory by this: a card that is reset comes back. */
const rememberMs = 600_000

/** A verdict that has changed. */
export interface VerdictChange {
  device: Device
  before: Health
  after: Health
  atMs: number
}

export interface MonitorOptions {
  system: HostSystem
  /** One a vendor; a probe without devices is not asked. */
  probes: readonly DeviceProbe[]
  /** The devices to watch, asked before each look. */
  devices: () => readonly Device[]
  /** Called when a device's state, or what is behind it, has changed. */
  onVerdict(change: VerdictChange): void
  /** What an event of the kernel log means, by the catalogue of the vendor. */
  judgeEvent: JudgeEvent
  log: Logger
  clock?: Clock
  periodMs?: number
  rules?: HealthRules
}

export interface Monitor {
  /** The last look at a device; undefined before the first. */
  latest(id: string): Look | undefined
  /** The values of a field over the last `lastMs`, the oldest first; the ring holds 600 looks. */
  history(id: string, field: SensorField, lastMs: number): RingPoint[]
  /** The verdict of now, with the values of now in its texts. `healthy` of a device that is not known. */
  health(id: string): Health
  /** What the kernel told of a device, the oldest first. */
  events(id: string): readonly DeviceEvent[]
  /** Takes in what the kernel told; the verdict follows at once. */
  note(event: DeviceEvent): void
  /** Ends the looking; answers that still come are dropped. */
  close(): void
}

/** Looks at the sensors of all devices every `periodMs`, remembers them, and tells when a verdict changes. */
export function createMonitor(options: MonitorOptions): Monitor {
  const { probes, onVerdict, judgeEvent, log, clock = systemClock } = options
  const { periodMs = 1000, rules = healthRules } = options
  const all = new Map<string, Watched>()
  const sampler = createSampler({ ...options, clock, onReadings })
  const startMs = clock.monotonicMs()
  let cancel = clock.after(0, tick)

  function tick() {
    const sinceStartMs = clock.monotonicMs() - startMs
    cancel = clock.after(periodMs - (sinceStartMs % periodMs), tick)
    keepUp(all, options.devices(), clock.now())
    const watched = [...all.values()]
    for (const probe of probes) {
      if (watched.some(({ device }) => device.vendor === probe.vendor)) sampler.ask(probe)
    }
    // Silence, and what has grown old, change verdicts too.
    judgeAll()
  }

  function onReadings(probe: DeviceProbe, readings: readonly DeviceReading[]) {
    if (isToolFailure(readings)) return
    const watched = [...all.values()]
    const nowMs = clock.now()
    const find = matcherOf(watched.map(({ device }) => device))
    const seen = new Set<string>()
    for (const reading of readings) {
      const one = all.get(find(reading)?.id ?? '')
      if (!one || seen.has(one.device.id)) continue
      seen.add(one.device.id)
      one.seenBy = probe
      takeReading(one, reading, nowMs, rules)
    }
    // A tool that stops at the first lost card leaves out cards that are well.
    const reliable = readings.some(({ state = 'ok' }) => state === 'ok')
    for (const one of reliable ? watched : []) {
      if (one.seenBy === probe && !seen.has(one.device.id)) takeAbsence(one, nowMs, rules)
    }
    judgeAll()
  }

  function judgeAll() {
    const atMs = clock.now()
    for (const one of all.values()) {
      const before = one.health
      const after = healthAt(one, atMs)
      if (sameVerdict(before, after)) continue
      one.health = after
      logChange(log, one.device, before, after)
      onVerdict({ device: one.device, before, after, atMs })
    }
  }

  function healthAt(one: Watched, nowMs: number): Health {
    const own = ownHealth(one, nowMs, rules, judgeEvent)
    const parent = one.device.parentId === undefined ? undefined : all.get(one.device.parentId)
    return withParent(own, parent && ownHealth(parent, nowMs, rules, judgeEvent))
  }

  return {
    latest: (id) => all.get(id)?.last,
    history: (id, field, lastMs) => all.get(id)?.ring.points(field, clock.now() - lastMs) ?? [],
    health: (id) => {
      const one = all.get(id)
      return one ? healthAt(one, clock.now()) : healthOf([])
    },
    events: (id) => all.get(id)?.events ?? [],
    note(event) {
      const meant = [...all.values()].filter(({ device }) => isSameCard(device.pciAddress, event.pciAddress))
      for (const one of meant) takeEvent(one, event)
      const devices = meant.map(({ device }) => device.id)
      log.warn(
        { devices, kind: event.kind, code: event.code, line: event.text },
        'the kernel told of a device',
      )
      judgeAll()
    },
    close() {
      cancel()
      sampler.close()
    },
  }
}

/** Watches the devices that the inventory has, and forgets those that it has not had for long. */
function keepUp(all: Map<string, Watched>, devices: readonly Device[], nowMs: number) {
  for (const device of devices) {
    const known = all.get(device.id)
    if (!known) all.set(device.id, watch(device, nowMs))
    else Object.assign(known, { device, listedAtMs: nowMs })
  }
  for (const [id, { listedAtMs }] of all) {
    if (nowMs - listedAtMs > rememberMs) all.delete(id)
  }
}

/** Where no card answers and all for the same reason, it is the tool or the driver that does not. */
function isToolFailure(readings: readonly DeviceReading[]): boolean {
  const [first] = readings
  return (
    readings.length > 1 &&
    readings.every(({ state, stateReason }) => state === 'error' && stateReason === first?.stateReason)
  )
}

/** Kernel lines often leave out the function (`.0`), and partitions share the card's bus and device. */
function isSameCard(a: string | undefined, b: string | undefined): boolean {
  const card = (address: string) => address.replace(/\.\d+$/, '')
  return a !== undefined && b !== undefined && card(a) === card(b)
}

function logChange(log: Logger, device: Device, before: Health, after: Health) {
  const facts = {
    device: device.id,
    name: device.name,
    from: before.state,
    to: after.state,
    reasons: after.reasons.map(({ text }) => text),
  }
  if (isWorse(before.state, after.state)) log.info(facts, 'device is better')
  else if (after.state === before.state) log.info(facts, 'device has other reasons for its state')
  else log.warn(facts, 'device is worse')
}
