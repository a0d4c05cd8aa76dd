/**
 * When a crashed model may be started again.
 *
 * An instance that crashes before it has served a request says that the model does not work: with n such crashes in the
 * last `windowMs`, the next start waits `firstDelayMs * 2^(n-2)`, at most `longestDelayMs`; the first of a window waits
 * not at all. From `loopCrashes` on, it is a crash loop: requests are refused with the reason instead of waiting in
 * silence.
 *
 * One that had served works: it comes back at once, and after the second time in a window with a delay that grows from
 * `provenDelayMs` and never reaches a second, so that a crash now and then costs a client no more than the load.
 */
export const restartRule = {
  windowMs: 5 * 60_000,
  firstDelayMs: 1_000,
  longestDelayMs: 60_000,
  loopCrashes: 3,
  provenDelayMs: 100,
  longestProvenDelayMs: 800,
}

export interface Crash {
  atMs: number
  /** The instance had served requests. */
  proven: boolean
}

/** What is remembered of a model's crashes. */
export interface CrashRecord {
  /** Within the window, oldest first. */
  crashes: readonly Crash[]
  lastReason: string
}

/** Crashes that are remembered of one model at most. */
const mostCrashes = 32

/** Adds a crash, forgetting those that have left the window. */
export function recordCrash(record: CrashRecord | undefined, crash: Crash, reason: string): CrashRecord {
  const kept = (record?.crashes ?? []).filter(({ atMs }) => crash.atMs - atMs < restartRule.windowMs)
  return { crashes: [...kept, crash].slice(-mostCrashes), lastReason: reason }
}

export type RestartVerdict =
  | { verdict: 'start' }
  | { verdict: 'wait'; untilMs: number }
  | { verdict: 'refuse'; untilMs: number; lastMs: number; crashes: number; reason: string }

/** Whether a model with this record may be started now. */
export function restartVerdict(record: CrashRecord | undefined, nowMs: number): RestartVerdict {
  if (record === undefined) return { verdict: 'start' }
  const recent = record.crashes.filter(({ atMs }) => nowMs - atMs < restartRule.windowMs)
  const last = recent.at(-1)
  if (last === undefined) return { verdict: 'start' }
  const fruitless = recent.filter(({ proven }) => !proven).length
  const delayMs = Math.max(
    delayOf(fruitless, restartRule.firstDelayMs, restartRule.longestDelayMs),
    delayOf(recent.length - fruitless, restartRule.provenDelayMs, restartRule.longestProvenDelayMs),
  )
  const untilMs = last.atMs + delayMs
  if (nowMs >= untilMs) return { verdict: 'start' }
  if (fruitless < restartRule.loopCrashes) return { verdict: 'wait', untilMs }
  return { verdict: 'refuse', untilMs, lastMs: last.atMs, crashes: fruitless, reason: record.lastReason }
}

function delayOf(crashes: number, firstMs: number, longestMs: number): number {
  return crashes < 2 ? 0 : Math.min(longestMs, firstMs * 2 ** (crashes - 2))
}
