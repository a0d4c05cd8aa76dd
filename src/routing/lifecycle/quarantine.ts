/**
 * Devices that fail are left alone for a while. A device is quarantined when it is lost, or when `crashes` instances
 * have ended on it unasked within `windowMs` and it looks like the device's own fault: they were of different models,
 * or the model runs elsewhere. Where every device is in quarantine it counts for nothing, and the model's own back-off
 * has to do. After `firstMs * 2^(n-1)`, at most `longestMs`, the n-th quarantine ends in a probe.
 */
export const quarantineRule = {
  windowMs: 5 * 60_000,
  crashes: 3,
  firstMs: 30_000,
  longestMs: 10 * 60_000,
  /** So long without a fault, and the next quarantine is a first one again. */
  forgetMs: 60 * 60_000,
}

/** What is remembered of a device. */
export interface DeviceRecord {
  /** Unasked ends of instances within the window, oldest first. */
  crashes: readonly { atMs: number; key: string }[]
  /** Quarantines so far, since it was last forgotten. */
  quarantines: number
  lastFaultMs: number
  /** In quarantine until a probe, which is due then; absent: it takes work. */
  untilMs?: number
  /** A probe is under way. */
  probing: boolean
  /** Gone by what its sensors say: nothing may stay on it. */
  lost: boolean
  reason: string
}

const unknown: DeviceRecord = {
  crashes: [],
  quarantines: 0,
  lastFaultMs: Number.NEGATIVE_INFINITY,
  probing: false,
  lost: false,
  reason: '',
}

/** Adds the unasked end of an instance of `key`. */
export function recordDeviceCrash(
  record: DeviceRecord = unknown,
  crash: { atMs: number; key: string; reason: string },
): DeviceRecord {
  const kept = record.crashes.filter(({ atMs }) => crash.atMs - atMs < quarantineRule.windowMs)
  const crashes = [...kept, { atMs: crash.atMs, key: crash.key }]
  return { ...record, crashes, reason: crash.reason }
}

/** Whether the crashes look like the device's fault. `runsElsewhere` tells it of a model. */
export function isDeviceFault(record: DeviceRecord, runsElsewhere: (key: string) => boolean): boolean {
  if (record.crashes.length < quarantineRule.crashes) return false
  const keys = new Set(record.crashes.map(({ key }) => key))
  return keys.size > 1 || [...keys].every(runsElsewhere)
}

/** Puts a device into quarantine, for longer each time. */
export function quarantine(record: DeviceRecord = unknown, nowMs: number, reason: string): DeviceRecord {
  const forgotten = nowMs - record.lastFaultMs > quarantineRule.forgetMs
  const quarantines = (forgotten ? 0 : record.quarantines) + 1
  const delayMs = Math.min(quarantineRule.longestMs, quarantineRule.firstMs * 2 ** (quarantines - 1))
  return {
    ...record,
    quarantines,
    lastFaultMs: nowMs,
    untilMs: nowMs + delayMs,
    probing: false,
    crashes: [],
    reason,
  }
}

/** A probe has ended: the device is let back, or stays out for longer. */
export function afterProbe(record: DeviceRecord, nowMs: number, works: boolean): DeviceRecord {
  if (!works) return quarantine(record, nowMs, record.reason)
  const { untilMs: _, ...rest } = record
  return { ...rest, probing: false, lost: false, crashes: [] }
}

/** Its sensors say that a device is gone, or that it is back. */
export function setLost(
  record: DeviceRecord = unknown,
  nowMs: number,
  reason: string | undefined,
): DeviceRecord {
  // Whether it works is found out now, not when the quarantine would have ended.
  if (reason === undefined) {
    return { ...record, lost: false, ...(record.untilMs !== undefined && { untilMs: nowMs }) }
  }
  return { ...quarantine(record, nowMs, reason), lost: true }
}

/** Whether a device may be given work. */
export function takesWork(record: DeviceRecord | undefined): boolean {
  return record === undefined || (record.untilMs === undefined && !record.lost)
}
