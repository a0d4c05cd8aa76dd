import type { Device, DeviceEvent, Health, HealthReason, HealthState } from '../contract.ts'
import { eventReasons, type JudgeEvent } from './events.ts'
import { afterLook, type HealthMemory, noMemory } from './memory.ts'
import { type HealthRules, healthRules } from './rules.ts'
import { counted, type Judged, type Look, signs } from './signs.ts'

const gravity: Readonly<Record<HealthState, number>> = { healthy: 0, degraded: 1, failing: 2, lost: 3 }

export interface VerdictFacts {
  device: Device
  /** Looks at its sensors, the oldest first. */
  recent: readonly Look[]
  /** What the kernel told of it. */
  events: readonly DeviceEvent[]
  rules?: HealthRules
  nowMs: number
  judgeEvent: JudgeEvent
}

/**
 * How a device is, from the looks at its sensors and what the kernel told of it. Pure. It gets worse at once (what
 * must last counts after `holdMs`) and better when looks have denied the reason for `recoverMs`; a fault from the
 * kernel's log ends with a reset of the card, or after `eventStandsMs`.
 *
 * Whoever looks every second keeps a `HealthMemory` and calls `afterLook` and `judge`, which is the same with a cost
 * that does not grow with the number of looks.
 */
export function verdictOf({ device, recent, rules = healthRules, ...facts }: VerdictFacts): Health {
  const memory = recent.reduce((before, look) => afterLook(before, look, device, rules), noMemory)
  return judge({ ...facts, memory, device, rules })
}

export interface JudgeFacts {
  memory: HealthMemory
  device: Judged
  events: readonly DeviceEvent[]
  rules: HealthRules
  nowMs: number
  judgeEvent: JudgeEvent
}

/** The verdict from what is remembered of a device's looks. */
export function judge(facts: JudgeFacts): Health {
  const reasons = [
    ...signReasons(facts),
    ...riseReasons(facts),
    ...silenceReasons(facts),
    ...eventReasons(facts.events, { ...facts, sinceMs: facts.memory.resetAtMs }),
  ]
  return healthOf(reasons)
}

/** A verdict with these reasons, in the order of their gravity. */
export function healthOf(reasons: readonly HealthReason[]): Health {
  const sorted = reasons.toSorted((a, b) => gravity[b.state] - gravity[a.state])
  return { state: sorted[0]?.state ?? 'healthy', reasons: sorted }
}

/** Whether two verdicts tell the same: their state and what is behind it, whatever the values of the moment. */
export function sameVerdict(a: Health, b: Health): boolean {
  return (
    a.state === b.state &&
    a.reasons.length === b.reasons.length &&
    a.reasons.every(({ code, state }, index) => {
      const other = b.reasons[index]
      return other?.code === code && other.state === state
    })
  )
}

/** Whether `a` is a graver state than `b`. */
export function isWorse(a: HealthState, b: HealthState): boolean {
  return gravity[a] > gravity[b]
}

function signReasons({ memory, device, rules }: JudgeFacts): HealthReason[] {
  if (memory.lookedAtMs === undefined) return foundReasons(device)
  return signs.flatMap((sign, index) => {
    const trace = memory.traces[index]
    if (!trace?.stands || !trace.lastShown) return []
    const { code, state, advice } = sign
    const seen = sign.text(trace.lastShown, device, rules)
    const awayMs = trace.untilMs - trace.lastShown.atMs
    return [{ code, state, text: trace.shown ? seen : `${seen}; not so for ${seconds(awayMs)}`, advice }]
  })
}

/** Before the first look there is only what was said when the device was found. */
function foundReasons({ state, stateReason }: Judged): HealthReason[] {
  if (state !== 'lost' && state !== 'error') return []
  const text = stateReason ?? (state === 'lost' ? 'the card is gone' : 'the driver cannot talk to the card')
  return [{ code: state, state: state === 'lost' ? 'lost' : 'failing', text }]
}

function riseReasons({ memory, rules, nowMs }: JudgeFacts): HealthReason[] {
  const recent = memory.rises.filter(({ atMs }) => atMs > nowMs - rules.eccWindowMs)
  const corrected = recent.reduce((sum, rise) => sum + rise.corrected, 0)
  const retired = recent.reduce((sum, rise) => sum + rise.retired, 0)
  const lifetime = memory.ecc?.retired ?? 0
  const within = `within ${seconds(rules.eccWindowMs)}`
  const reasons: HealthReason[] = []
  if (corrected >= rules.correctedErrors) {
    reasons.push({
      code: 'ecc_corrected',
      state: 'degraded',
      text: `${counted(corrected, 'memory error')} corrected ${within}`,
      advice: 'nothing is lost yet; check cooling, and have the card replaced if it goes on',
    })
  }
  if (retired >= rules.retiredRows || lifetime >= rules.retiredRowsLifetime) {
    const text =
      retired > 0
        ? `${counted(retired, 'memory row')} taken out of use ${within}`
        : 'many memory rows out of use'
    reasons.push({
      code: 'rows_retired',
      state: 'degraded',
      text: `${text} (${lifetime} in all)`,
      advice: 'have the card replaced if more follow',
    })
  }
  return reasons
}

function silenceReasons({ memory, rules, nowMs }: JudgeFacts): HealthReason[] {
  if (memory.lookedAtMs === undefined) return []
  const silentMs = nowMs - memory.lookedAtMs
  if (silentMs <= rules.silentMs) return []
  return [
    {
      code: 'unanswered',
      state: 'degraded',
      text: `its sensors have not answered for ${seconds(silentMs)}`,
      advice: "run the vendor's tool by hand: a driver that hangs shows there too",
    },
  ]
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`
}
