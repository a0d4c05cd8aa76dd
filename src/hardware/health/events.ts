import type { DeviceEvent, HealthReason } from '../contract.ts'
import type { HealthRules } from './rules.ts'

/** What an event means for the card. `harmless`: a program's own fault, or only news. */
export interface EventVerdict {
  severity: 'harmless' | 'degraded' | 'failing' | 'lost'
  meaning: string
  advice: string
}

/** Judges an event by the vendor's catalogue; undefined where it says nothing of the card's health. */
export type JudgeEvent = (event: DeviceEvent) => EventVerdict | undefined

interface EventFacts {
  rules: HealthRules
  nowMs: number
  judgeEvent: JudgeEvent
  /** The last reset of the card; events up to then are over. */
  sinceMs: number | undefined
}

/**
 * XIDs of programs that did something wrong. Where they go on, the card may be what is wrong. Not among them: 43 and
 * 45, which also follow when a program is killed.
 */
const programFaults: ReadonlySet<number> = new Set([8, 11, 13, 25, 31, 32, 39, 40, 41, 69])

/** The reasons that the kernel's log gives, one for each kind of event and XID number. */
export function eventReasons(events: readonly DeviceEvent[], facts: EventFacts): HealthReason[] {
  if (events.length === 0) return []
  const { rules, nowMs, sinceMs } = facts
  const standing = events
    .filter(({ atMs }) => atMs > nowMs - rules.eventStandsMs && (sinceMs === undefined || atMs > sinceMs))
    .sort((a, b) => a.atMs - b.atMs)
  const kinds = Map.groupBy(standing, ({ kind, code }) => `${kind} ${code}`)
  return [...kinds.values()].flatMap((same) => reasonOf(same, facts) ?? [])
}

/** The reason that events of one kind and number give, if they give one. */
function reasonOf(same: readonly DeviceEvent[], facts: EventFacts): HealthReason | undefined {
  const last = same.at(-1)
  if (!last) return undefined
  if (last.kind === 'driver_reset') return resetReason(last, recentTimes(same, facts), facts)
  if (last.kind === 'fallen_off_bus') {
    return {
      code: 'fallen_off_bus',
      state: 'lost',
      text: `the kernel said ${agoText(last, facts)}: ${last.text}`,
      advice: 'reset the card or restart the machine; if it returns, check power cables, riser and seat',
    }
  }
  const verdict = facts.judgeEvent(last)
  if (!verdict) return undefined
  const { severity, meaning, advice } = verdict
  const name = last.code === undefined ? '' : `${last.kind === 'sxid' ? 'SXid' : 'Xid'} ${last.code}: `
  const reason = { code: last.kind === 'other' ? 'driver' : last.kind, advice }
  const text = `${name}${meaning}, ${agoText(last, facts)}`
  if (severity !== 'harmless') return { ...reason, state: severity, text }
  const times = last.kind === 'xid' && programFaults.has(last.code ?? -1) ? recentTimes(same, facts) : 0
  if (times < facts.rules.repeats) return undefined
  return { ...reason, state: 'degraded', text: `${text}, ${timesText(times, facts)}` }
}

function resetReason(last: DeviceEvent, times: number, facts: EventFacts): HealthReason | undefined {
  if (times === 0) return undefined
  return {
    code: 'driver_reset',
    state: times >= facts.rules.repeats ? 'failing' : 'degraded',
    text: `the driver had to reset the card ${timesText(times, facts)}, last ${agoText(last, facts)}: ${last.text}`,
    advice: 'update driver and firmware; lower clocks or the power limit if it goes on',
  }
}

/** How often something happened of late; the many lines of one fault count once. */
function recentTimes(same: readonly DeviceEvent[], { rules, nowMs }: EventFacts): number {
  let times = 0
  let countedMs = Number.NEGATIVE_INFINITY
  for (const { atMs } of same) {
    if (atMs <= nowMs - rules.repeatWindowMs || atMs - countedMs <= rules.sameEventMs) continue
    countedMs = atMs
    times++
  }
  return times
}

function timesText(times: number, { rules }: EventFacts): string {
  return `${times === 1 ? 'once' : `${times} times`} within ${Math.round(rules.repeatWindowMs / 1000)} s`
}

function agoText({ atMs }: DeviceEvent, { nowMs }: EventFacts): string {
  return `${Math.max(0, Math.round((nowMs - atMs) / 1000))} s ago`
}
