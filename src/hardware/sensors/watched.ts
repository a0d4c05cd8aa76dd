import type { Device, DeviceEvent, DeviceProbe, DeviceReading, Health } from '../contract.ts'
import type { JudgeEvent } from '../health/events.ts'
import { afterLook, type HealthMemory, noMemory } from '../health/memory.ts'
import type { HealthRules } from '../health/rules.ts'
import type { Look } from '../health/signs.ts'
import { healthOf, judge } from '../health/verdict.ts'
import { type SensorField, sensorFields } from './fields.ts'
import { createRing, type Ring } from './ring.ts'

/** Ten minutes at one look a second. */
const ringRows = 600

/** Of each device so many events are kept, the newest. */
const eventsKept = 64

/** A card that is left out of its probe's answers for so many looks running is gone; one may be a slip of the tool. */
const missesUntilLost = 2

/** A device that is being watched, with all that is remembered of it. */
export interface Watched {
  device: Device
  readonly ring: Ring<SensorField>
  readonly events: DeviceEvent[]
  memory: HealthMemory
  last?: Look
  /** The probe that has told of it. */
  seenBy?: DeviceProbe
  misses: number
  /** The verdict that was told last. */
  health: Health
  /** When the inventory had it last. */
  listedAtMs: number
}

export function watch(device: Device, listedAtMs: number): Watched {
  return {
    device,
    ring: createRing(sensorFields, ringRows),
    events: [],
    memory: noMemory,
    misses: 0,
    health: healthOf([]),
    listedAtMs,
  }
}

/** Takes in what a probe said of the device. */
export function takeReading(
  watched: Watched,
  reading: DeviceReading,
  atMs: number,
  rules: HealthRules,
): void {
  watched.misses = 0
  takeLook(
    watched,
    {
      atMs,
      state: reading.state ?? 'ok',
      ...(reading.stateReason !== undefined && { stateReason: reading.stateReason }),
      ...(reading.sensors && { sensors: reading.sensors }),
    },
    rules,
  )
}

/** Takes in that the probe told of other cards, and not of this one. */
export function takeAbsence(watched: Watched, atMs: number, rules: HealthRules): void {
  watched.misses++
  if (watched.misses < missesUntilLost) return
  const stateReason = `left out by the vendor's tool, which still tells of other cards`
  takeLook(watched, { atMs, state: 'lost', stateReason }, rules)
}

export function takeEvent({ events }: Watched, event: DeviceEvent): void {
  events.push(event)
  if (events.length > eventsKept) events.shift()
}

/** The verdict over the device as it is now, without its card where it is a partition. */
export function ownHealth(
  watched: Watched,
  nowMs: number,
  rules: HealthRules,
  judgeEvent: JudgeEvent,
): Health {
  return judge({ ...watched, rules, nowMs, judgeEvent })
}

/** A partition shares the fate of its card. */
export function withParent(own: Health, parent: Health | undefined): Health {
  if (!parent || parent.state === 'healthy') return own
  const known = new Set(own.reasons.map(({ code }) => code))
  return healthOf([...own.reasons, ...parent.reasons.filter(({ code }) => !known.has(code))])
}

const noSensors = {}

function takeLook(watched: Watched, look: Look, rules: HealthRules): void {
  watched.last = look
  watched.ring.push(look.atMs, look.sensors ?? noSensors)
  watched.memory = afterLook(watched.memory, look, watched.device, rules)
}
