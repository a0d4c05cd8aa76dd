/**
 * When a crashed model may be started again.
 *
 * With n crashes in the last `windowMs`, the next start waits `firstDelayMs * 2^(n-2)`, at most `longestDelayMs`;
 * the first crash of a window waits not at all. From `loopCrashes` on, it is a crash loop: requests are refused
 * with the reason instead of waiting in silence.
 */
export const restartRule = {
  windowMs: 5 * 60_000,
  firstDelayMs: 1_000,
  longestDelayMs: 60_000,
  loopCrashes: 3,
}

/** What is remembered of a model's crashes. */
export interface CrashRecord {
  /** Times of the crashes within the window, oldest first. */
  crashedAtMs: readonly number[]
  lastReason: string
}

/** Adds a crash, forgetting those that have left the window. */
export function recordCrash(record: CrashRecord | undefined, nowMs: number, reason: string): CrashRecord {
  const kept = (record?.crashedAtMs ?? []).filter((at) => nowMs - at < restartRule.windowMs)
  return { crashedAtMs: [...kept, nowMs], lastReason: reason }
}

export type RestartVerdict =
  | { verdict: 'start' }
  | { verdict: 'wait'; untilMs: number }
  | { verdict: 'refuse'; untilMs: number; crashes: number; reason: string }

/** Whether a model with this record may be started now. */
export function restartVerdict(record: CrashRecord | undefined, nowMs: number): RestartVerdict {
  if (record === undefined) return { verdict: 'start' }
  const recent = record.crashedAtMs.filter((at) => nowMs - at < restartRule.windowMs)
  const last = recent.at(-1)
  if (last === undefined || recent.length < 2) return { verdict: 'start' }
  const delayMs = Math.min(restartRule.longestDelayMs, restartRule.firstDelayMs * 2 ** (recent.length - 2))
  const untilMs = last + delayMs
  if (nowMs >= untilMs) return { verdict: 'start' }
  if (recent.length < restartRule.loopCrashes) return { verdict: 'wait', untilMs }
  return { verdict: 'refuse', untilMs, crashes: recent.length, reason: record.lastReason }
}
