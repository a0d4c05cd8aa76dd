/** Instances that end though nobody wants their room: on lost devices, replaced, drained. */
import { liesOn, place } from './place.ts'
import { close, launch, type Round } from './round.ts'
import type { CloseReason, Entry, LoadWish } from './state.ts'

/** What lies on a lost device answers nobody any more; its requests go elsewhere. */
export function leaveLostDevices({ state, effects }: Round): void {
  for (const [deviceId, { lost }] of state.devices) {
    if (!lost) continue
    for (const entry of state.entries.values()) {
      if (entry.phase !== 'closing' && liesOn(entry, deviceId)) close(entry, 'device_lost', effects)
    }
  }
}

/** One stale instance of each model at a time: its successor is started first, where there is room for both. */
export function replaceStale(round: Round): void {
  const { state, facts } = round
  const seen = new Set<string>()
  for (const entry of [...state.entries.values()]) {
    // One that is put elsewhere has its successor.
    if (!entry.stale || entry.leavesFor !== undefined || seen.has(entry.key)) continue
    seen.add(entry.key)
    if (entry.phase !== 'ready') continue
    if (entry.replacedBy === undefined) {
      const running = [...state.entries.values()]
      const wish = withOptionsOf(entry)
      const found = place(state, wish, facts.machine(), running)
      entry.replacedBy = found.ok ? launch(round, wish, found.placement).id : 0
    }
    if (entry.replacedBy !== 0 && state.entries.get(entry.replacedBy)?.phase !== 'ready') continue
    // Without a successor its requests have nowhere to go.
    const graceMs = entry.replacedBy === 0 ? undefined : state.limits.handOverAfterMs
    entry.drainsUntilMs ??= graceMs === undefined ? Number.POSITIVE_INFINITY : facts.nowMs + graceMs
  }
}

/** What is to end takes no new requests; those that outlast its grace are handed over. */
export function drainInstances(round: Round): void {
  for (const entry of round.state.entries.values()) {
    const { drainsUntilMs } = entry
    if (drainsUntilMs === undefined || entry.phase !== 'ready') continue
    entry.retiring = true
    if (entry.inUse === 0) close(entry, endOf(entry), round.effects)
    else if (drainsUntilMs > round.facts.nowMs) round.wakeAtMs = Math.min(round.wakeAtMs, drainsUntilMs)
    else if (!entry.handedOver) {
      entry.handedOver = true
      round.effects.push({ type: 'handOver', entryId: entry.id })
    }
  }
}

function endOf(entry: Entry): CloseReason {
  if (entry.leavesFor !== undefined) return 'moved'
  return entry.stale ? 'restart' : 'drained'
}

/** The wish that an instance was started for, with what it really has: its successor is to serve the same requests. */
export function withOptionsOf({ wish, plan }: Entry): LoadWish {
  return { ...wish, options: plan.options }
}
