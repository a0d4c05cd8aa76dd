import type { EccCounts } from '../contract.ts'
import type { HealthRules } from './rules.ts'
import { type Judged, type Look, signs } from './signs.ts'
import { type Trace, traced } from './trace.ts'

/** Counters that went up between two looks. */
export interface Rise {
  atMs: number
  corrected: number
  retired: number
}

/** All that must be remembered of a device's looks to judge it. A value: each look makes the next one. */
export interface HealthMemory {
  /** The time of the last look; absent before the first. */
  lookedAtMs?: number
  /** Beside `signs`, one for each. */
  traces: readonly (Trace | undefined)[]
  rises: readonly Rise[]
  ecc?: EccCounts
  /** How many looks running the card has not answered. */
  awayLooks: number
  /** When the card was last seen to have been reset: what was told of it before is over. */
  resetAtMs?: number
}

/** Of a device that nobody has looked at. */
export const noMemory: HealthMemory = { traces: signs.map(() => undefined), rises: [], awayLooks: 0 }

/** The memory after one more look. */
export function afterLook(
  memory: HealthMemory,
  look: Look,
  device: Judged,
  rules: HealthRules,
): HealthMemory {
  const elapsedMs = look.atMs - (memory.lookedAtMs ?? look.atMs)
  // A clock that was set back breaks what was being timed as well.
  const broken = elapsedMs > rules.silentMs || elapsedMs < 0
  // A tool may leave out in one look what it told in the last.
  const ecc = look.sensors?.ecc ? { ...memory.ecc, ...look.sensors.ecc } : memory.ecc
  const resetAtMs = wasReset(memory, look) ? look.atMs : memory.resetAtMs
  return {
    lookedAtMs: look.atMs,
    traces: memory.traces.map((trace, index) => {
      const sign = signs[index]
      return sign && traced(trace, { sign, look, broken }, device, rules)
    }),
    rises: risesAfter(memory, look, rules),
    ...(ecc && { ecc }),
    awayLooks: isAway(look) ? memory.awayLooks + 1 : 0,
    ...(resetAtMs !== undefined && { resetAtMs }),
  }
}

function isAway({ state }: Look): boolean {
  return state === 'lost' || state === 'error'
}

/** An error for one look may be a slip of the tool. */
const awayUntilReset = 2

/** A card that comes back after a while was reset, and so was one whose count of hard errors begins anew. */
function wasReset({ awayLooks, ecc }: HealthMemory, look: Look): boolean {
  if (isAway(look)) return false
  const before = ecc?.uncorrected
  const now = look.sensors?.ecc?.uncorrected
  return awayLooks >= awayUntilReset || (before !== undefined && now !== undefined && now < before)
}

function risesAfter({ rises, ecc: before }: HealthMemory, look: Look, rules: HealthRules): readonly Rise[] {
  const now = look.sensors?.ecc
  const corrected = riseOf(before?.corrected, now?.corrected)
  const retired = riseOf(before?.retired, now?.retired)
  const oldest = rises[0]
  const expired = oldest !== undefined && oldest.atMs <= look.atMs - rules.eccWindowMs
  if (corrected + retired === 0 && !expired) return rises
  const kept = rises.filter(({ atMs }) => atMs > look.atMs - rules.eccWindowMs)
  return corrected + retired === 0 ? kept : [...kept, { atMs: look.atMs, corrected, retired }]
}

/** A counter that begins anew has not risen. */
function riseOf(before: number | undefined, now: number | undefined): number {
  return before === undefined || now === undefined ? 0 : Math.max(0, now - before)
}
