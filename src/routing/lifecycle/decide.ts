/**
 * What happens to the instances and to those who wait for them, one function an event. After every event `settle`
 * brings the state to rest and says what has to be done. No I/O, no timers.
 */
import { DroverError } from '../../inference/index.ts'
import type { AdmissionQueue, PriorityClass } from '../admission/index.ts'
import type { DispatchRequest } from '../dispatch/index.ts'
import { lowerCaps } from './caps.ts'
import { successorFailed } from './moves.ts'
import { liesOn } from './place.ts'
import { afterProbe, isDeviceFault, quarantine, recordDeviceCrash, setLost } from './quarantine.ts'
import { refusalError } from './refusal.ts'
import { recordCrash } from './restart.ts'
import type { Effect, Entry, LifecycleLimits, LifecycleState, LoadWish } from './state.ts'

export function createLifecycle(limits: LifecycleLimits, queue: AdmissionQueue): LifecycleState {
  return {
    nextId: 1,
    entries: new Map(),
    waiters: new Map(),
    queue,
    refused: [],
    moves: new Map(),
    crashes: new Map(),
    caps: new Map(),
    failedOn: new Map(),
    devices: new Map(),
    limits,
    closed: false,
  }
}

/** What sets a request apart from others. */
export interface RequestTraits {
  slotless?: boolean
  avoid?: ReadonlySet<number>
  /** It had a slot already, and lost it through no fault of its own: it is not refused for want of room. */
  returns?: boolean
  priority?: PriorityClass
  /** What decides where it goes; absent: a request of which nothing is known. */
  route?: Omit<DispatchRequest, 'id' | 'key'>
}

const nowhere: ReadonlySet<number> = new Set()

/**
 * Queues a request; `slotless` ones only need the model loaded, those in `avoid` it has failed on. Throws `busy` or
 * `rate_limited` when too many wait already, `shutting_down` at the end of the server's life.
 */
export function request(
  state: LifecycleState,
  wish: LoadWish,
  { slotless = false, avoid = nowhere, returns = false, priority = 'default', route }: RequestTraits = {},
  nowMs = 0,
): number {
  if (state.closed) throw new DroverError('shutting_down', 'the server is shutting down')
  const id = state.nextId++
  const dispatch = { ...(route ?? unknownRequest(wish)), id, key: wish.key }
  const { tenant, deadlineMs, promptTokens, outputTokens } = dispatch
  const refusals = state.queue.offer(
    {
      id,
      group: groupOf(wish, slotless, avoid),
      model: wish.key,
      tenant,
      priority,
      arrivedMs: nowMs,
      ...(deadlineMs !== undefined && { deadlineMs }),
      promptTokens,
      outputTokens,
      ...(returns && { returns }),
    },
    nowMs,
  )
  for (const refusal of refusals) {
    if (refusal.ticket.id === id) throw refusalError(refusal)
    state.waiters.delete(refusal.ticket.id)
    state.refused.push({ type: 'reject', waiterId: refusal.ticket.id, error: refusalError(refusal) })
  }
  state.waiters.set(id, { id, wish, slotless, avoid, request: dispatch, arrivedMs: nowMs })
  return id
}

/** Requests of a group can be served by the same instances. */
function groupOf({ key, options, pins }: LoadWish, slotless: boolean, avoid: ReadonlySet<number>): string {
  return JSON.stringify([key, options, pins ?? [], slotless, ...avoid])
}

function unknownRequest({ key }: LoadWish): Omit<DispatchRequest, 'id' | 'key'> {
  const shape = {
    model: key,
    tenant: '',
    kind: 'generate' as const,
    promptTokens: 0,
    tools: false,
    format: false,
    thinking: false,
  }
  return { tenant: '', promptTokens: 0, outputTokens: 0, shape }
}

/** A waiting request was withdrawn. */
export function withdraw(state: LifecycleState, waiterId: number): void {
  state.waiters.delete(waiterId)
  state.queue.withdraw(waiterId)
}

/** A launch came to its end: the model takes requests, and these are its true measures. */
export function launched(
  state: LifecycleState,
  entryId: number,
  seen: { nowMs: number; bytes: number; slots: number; contextLength: number },
): void {
  const entry = state.entries.get(entryId)
  if (!entry) return
  entry.phase = 'ready'
  state.failedOn.delete(entry.key)
  entry.loadMs = seen.nowMs - entry.startedAtMs
  entry.idleSinceMs = seen.nowMs
  // An engine that gives less than it was asked for must not be asked again by every request.
  const contextLength = Math.max(seen.contextLength, entry.plan.contextLength)
  entry.plan = { ...entry.plan, slots: seen.slots, contextLength }
  if (seen.bytes > 0) {
    const scale = seen.bytes / Math.max(1, entry.bytes)
    entry.shares = entry.shares.map((share) => ({ ...share, bytes: share.bytes * scale }))
    entry.bytes = seen.bytes
  }
}

/**
 * A launch failed. One that ran out of memory is tried again with less, as long as there is less; otherwise everybody
 * who waited for this load hears why, unless the model runs elsewhere.
 */
export function launchFailed(
  state: LifecycleState,
  entryId: number,
  error: DroverError,
  nowMs: number,
): Effect[] {
  const entry = state.entries.get(entryId)
  if (!entry) return []
  state.entries.delete(entryId)
  giveUpReplacing(state, entryId)
  const moves = [...state.moves.values()].some(({ successor }) => successor === entryId)
  successorFailed(state, entryId, error.message, nowMs)
  // A launch on a lost device was ended with it: those who wait are served elsewhere, or there when it is back.
  if (entry.phase === 'closing' || entry.shares.some(({ deviceId }) => state.devices.get(deviceId)?.lost))
    return []
  if (error.code === 'insufficient_memory' && !moves && capAfter(state, entry)) return []
  if (error.code === 'engine_crashed') {
    recordUnaskedEnd(state, entry, nowMs, { kind: 'crashed', reason: error.message })
  }
  // Nobody who waits has asked for it: they are served as if it had not been tried.
  if (moves || tryElsewhere(state, entry, error, nowMs)) return []
  const runs = [...state.entries.values()].some(({ key, phase }) => key === entry.key && phase !== 'closing')
  // A further copy that does not come up is no reason to refuse what the others will serve.
  if (runs) return []
  const losers = [...state.waiters.values()].filter((waiter) => waiter.wish.key === entry.key)
  for (const { id } of losers) withdraw(state, id)
  return losers.map((waiter) => ({ type: 'reject', waiterId: waiter.id, error }))
}

/** How an instance ended that nobody asked to. */
export interface UnaskedEnd {
  kind: 'out_of_memory' | 'crashed' | 'hung' | 'device_lost'
  reason: string
  /** Somebody or the system ended it by SIGKILL or SIGTERM. */
  killed?: boolean
}

/** An instance has ended; true is returned when it should come back. */
export function ended(state: LifecycleState, entryId: number, nowMs: number, end?: UnaskedEnd): boolean {
  const entry = state.entries.get(entryId)
  if (!entry) return false
  state.entries.delete(entryId)
  giveUpReplacing(state, entryId)
  successorFailed(state, entryId, end?.reason ?? 'its successor was closed', nowMs)
  if (end === undefined || entry.phase === 'closing') {
    // The next load may find more room than the one that ran out of it.
    if (![...state.entries.values()].some(({ key }) => key === entry.key)) state.caps.delete(entry.key)
    return entry.stale && entry.replacedBy === 0
  }
  if (end.kind === 'out_of_memory') capAfter(state, entry)
  recordUnaskedEnd(state, entry, nowMs, end)
  if (end.kind === 'device_lost') {
    for (const { deviceId } of entry.shares) setQuarantine(state, deviceId, nowMs, end.reason)
  }
  return entry.inUse > 0 || entry.keepAliveMs > nowMs - entry.idleSinceMs
}

/** A request is done with an instance; `completed` when it had its whole answer from it. */
export function release(
  state: LifecycleState,
  entryId: number,
  nowMs: number,
  { slotless = false, completed = false } = {},
): void {
  const entry = state.entries.get(entryId)
  if (!entry) return
  entry.inUse--
  if (!slotless) entry.busy--
  if (completed) entry.served++
  if (entry.inUse === 0) entry.idleSinceMs = nowMs
}

/** How long to keep a model from its last request on; applies to what is loaded or loading under this key. */
export function keepAlive(state: LifecycleState, key: string, keepAliveMs: number): void {
  for (const entry of state.entries.values()) if (entry.key === key) entry.keepAliveMs = keepAliveMs
}

/** Every instance of a model is to be replaced by a new one, one after the other; how many they are is returned. */
export function restart(state: LifecycleState, key: string): number {
  const entries = [...state.entries.values()].filter((entry) => entry.key === key && entry.phase === 'ready')
  for (const entry of entries) entry.stale = true
  state.crashes.delete(key)
  state.caps.delete(key)
  return entries.length
}

/** An instance is to end; its requests may go on for `graceMs`, and are handed over then. False: there is none. */
export function drain(state: LifecycleState, entryId: number, nowMs: number, graceMs: number): boolean {
  const entry = state.entries.get(entryId)
  if (entry?.phase !== 'ready') return false
  entry.drainsUntilMs = nowMs + graceMs
  entry.drained = true
  return true
}

/** The sensors say that a device is lost, with the reason, or that it is there (again). */
export function deviceLost(
  state: LifecycleState,
  deviceId: string,
  nowMs: number,
  reason: string | undefined,
): void {
  const record = state.devices.get(deviceId)
  if (reason === undefined && !record?.lost) return
  if (reason !== undefined && record?.lost) return
  state.devices.set(deviceId, setLost(record, nowMs, reason))
}

/** A probe of a quarantined device has ended. */
export function probed(state: LifecycleState, deviceId: string, nowMs: number, works: boolean): void {
  const record = state.devices.get(deviceId)
  if (record?.untilMs !== undefined) state.devices.set(deviceId, afterProbe(record, nowMs, works))
}

/** Failures that say nothing of the model: another device may do better. */
const otherDeviceMayDo = ['engine_crashed', 'engine_unavailable', 'insufficient_memory', 'load_stalled']

/** Keeps a model off the device where its load failed; `settle` refuses those who wait when none is left. */
function tryElsewhere(state: LifecycleState, entry: Entry, error: DroverError, nowMs: number): boolean {
  const [share, ...more] = entry.shares
  if (!share?.mayFail || more.length > 0 || !otherDeviceMayDo.includes(error.code)) return false
  // What is not there serves no other model either.
  if (error.code === 'engine_unavailable') setQuarantine(state, share.deviceId, nowMs, error.message)
  const deviceIds = new Set([...(state.failedOn.get(entry.key)?.deviceIds ?? []), share.deviceId])
  state.failedOn.set(entry.key, { deviceIds, error })
  return true
}

function capAfter(state: LifecycleState, entry: Entry): boolean {
  const caps = lowerCaps(entry.plan)
  if (caps) state.caps.set(entry.key, caps)
  return caps !== undefined
}

function recordUnaskedEnd(state: LifecycleState, entry: Entry, nowMs: number, end: UnaskedEnd): void {
  const { key, served } = entry
  const { reason } = end
  // What a copy of it does, the model can do.
  const proven = served > 0 || [...state.entries.values()].some((one) => one.key === key && one.served > 0)
  const record = recordCrash(state.crashes.get(key), { atMs: nowMs, proven }, reason)
  state.crashes.set(key, record)
  // Of an instance on several devices nobody knows which one failed.
  const [share, ...more] = entry.shares
  if (!share?.mayFail || more.length > 0 || end.killed || end.kind === 'out_of_memory') return
  const device = recordDeviceCrash(state.devices.get(share.deviceId), { atMs: nowMs, key, reason })
  state.devices.set(share.deviceId, device)
  const runsElsewhere = (other: string) =>
    [...state.entries.values()].some(
      (one) => one.key === other && one.phase === 'ready' && !liesOn(one, share.deviceId),
    )
  if (isDeviceFault(device, runsElsewhere)) setQuarantine(state, share.deviceId, nowMs, reason)
}

function setQuarantine(state: LifecycleState, deviceId: string, nowMs: number, reason: string): void {
  state.devices.set(deviceId, quarantine(state.devices.get(deviceId), nowMs, reason))
}

/** What was to take a stale entry's place does not work: the one that does stays. */
function giveUpReplacing(state: LifecycleState, entryId: number): void {
  for (const entry of state.entries.values()) {
    if (entry.replacedBy !== entryId || entry.phase === 'closing') continue
    if (entry.handedOver) {
      // Its requests have been sent away, which cannot be taken back: it ends, and comes back.
      entry.replacedBy = 0
      continue
    }
    entry.stale = false
    delete entry.replacedBy
    if (!entry.drained) delete entry.drainsUntilMs
  }
}
