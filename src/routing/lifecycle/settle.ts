/**
 * Brings the lifecycle to rest: who is loaded, who waits, who has to go.
 *
 * The rules, in order, for each waiting request (in the order of the admission queue):
 * 1. an instance of its model is ready, compatible and has a slot free: the policy ranks all compatible ones, full ones
 *    too; it is granted on the first, or waits a moment longer for that;
 * 2. a load of its model is under way that has a slot for it: it waits for that, whoever asked for it;
 * 3. its model runs, but every slot is taken: one more instance is started where there is room without evicting anybody;
 * 4. its model runs, but no instance of it is compatible (a larger context is wanted): one is started on another device
 *    that has room; else no new request gets in, and it is reloaded when idle;
 * 5. its model crashes again and again: it waits for the back-off, or is refused with the reason;
 * 6. there is room: the load starts; else another instance is moved where that makes room, and where it does not, the
 *    models whose eviction costs least are closed as they become idle;
 * 7. not even an empty machine would have room: refused with what would fit, and nobody has to go for it.
 * A request blocked by 6 keeps later ones from starting loads, so that small models cannot starve a large one.
 */
import { DroverError } from '../../inference/index.ts'
import type { Decision } from '../dispatch/index.ts'
import { makeRoomByMoving } from './defragment.ts'
import { drainInstances, leaveLostDevices, replaceStale } from './leaving.ts'
import { advanceMoves } from './moves.ts'
import { chooseVictims, liesOn, modelsIn, place, placeOnEmpty } from './place.ts'
import { crashLoopError, nowhereError, refusalError } from './refusal.ts'
import { restartVerdict } from './restart.ts'
import { close, launch, type Round } from './round.ts'
import type {
  Effect,
  Entry,
  LifecycleFacts,
  LifecycleState,
  LoadOptions,
  MachineFacts,
  Waiter,
} from './state.ts'

export function settle(state: LifecycleState, facts: LifecycleFacts, defaultKeepAliveMs: number): Effect[] {
  const round: Round = {
    state,
    facts: { ...facts, machine: once(facts.machine) },
    defaultKeepAliveMs,
    effects: [],
    wakeAtMs: Number.POSITIVE_INFINITY,
    promised: new Map(),
    blocked: false,
    placeless: new Set(),
    makingWay: new Set(),
  }
  // Who has to make room follows from who waits now; a waiter that has gone no longer sends anybody away.
  for (const entry of state.entries.values()) entry.retiring = false
  leaveLostDevices(round)
  endQuarantines(round)
  if (!state.closed) replaceStale(round)
  advanceMoves(round)
  drainInstances(round)
  // Those who wait are served before idle models are let go: one of them may want just that model.
  serveWaiters(round)
  letIdleGo(round)
  if (round.wakeAtMs !== Number.POSITIVE_INFINITY) {
    round.effects.push({ type: 'wake', atMs: round.wakeAtMs })
  }
  return round.effects
}

function once(read: () => MachineFacts): () => MachineFacts {
  let machine: MachineFacts | undefined
  return () => {
    machine ??= read()
    return machine
  }
}

function endQuarantines(round: Round): void {
  for (const [deviceId, record] of round.state.devices) {
    if (record.untilMs === undefined || record.probing) continue
    if (record.untilMs > round.facts.nowMs) {
      round.wakeAtMs = Math.min(round.wakeAtMs, record.untilMs)
      continue
    }
    round.state.devices.set(deviceId, { ...record, probing: true })
    round.effects.push({ type: 'probe', deviceId })
  }
}

/** Waiters of a group, one after the other, that may fail to get a slot before the rest of it is left alone. */
const lookahead = 8

function serveWaiters(round: Round): void {
  const { state, facts, effects } = round
  effects.push(...state.refused.splice(0))
  for (const refusal of state.queue.expire(facts.nowMs)) {
    state.waiters.delete(refusal.ticket.id)
    effects.push({ type: 'reject', waiterId: refusal.ticket.id, error: refusalError(refusal) })
  }
  const passed = new Set<number>()
  const stuck = new Set<string>()
  round.blocked = false
  for (;;) {
    const group = state.queue.groups(facts.nowMs).find((one) => !stuck.has(one))
    if (group === undefined) break
    if (!serveNext(round, group, passed)) stuck.add(group)
  }
  if (state.queue.size > 0) {
    round.wakeAtMs = Math.min(round.wakeAtMs, state.queue.nextChangeMs(facts.nowMs))
  }
}

/** Serves the first of a group that can be; false when none of those at its head can. */
function serveNext(round: Round, group: string, passed: Set<number>): boolean {
  const { state, facts, effects } = round
  let misses = 0
  for (const { id } of state.queue.inOrder(group, facts.nowMs)) {
    if (passed.has(id)) continue
    const waiter = state.waiters.get(id)
    if (!waiter) throw new Error(`request ${id} waits in the queue, and is not known`)
    const outcome = serve(round, waiter, round.blocked)
    if (outcome.type === 'wait') {
      passed.add(id)
      round.blocked ||= outcome.blocks
      round.wakeAtMs = Math.min(round.wakeAtMs, outcome.untilMs ?? Number.POSITIVE_INFINITY)
      if (!outcome.promised && ++misses >= lookahead) return false
      continue
    }
    state.waiters.delete(id)
    if (outcome.type === 'grant') {
      const { entry, decision } = outcome
      state.queue.start(id, facts.nowMs)
      entry.inUse++
      if (!waiter.slotless) entry.busy++
      effects.push({ type: 'grant', waiterId: id, entryId: entry.id, ...(decision && { decision }) })
    } else {
      state.queue.withdraw(id)
      effects.push({ type: 'reject', waiterId: id, error: outcome.error })
    }
    return true
  }
  return false
}

type Outcome =
  | { type: 'grant'; entry: Entry; decision?: Decision }
  | { type: 'reject'; error: DroverError }
  /** `promised`: an instance that will have a slot for it is being loaded. */
  | { type: 'wait'; blocks: boolean; untilMs?: number; promised?: boolean }

const wait: Outcome = { type: 'wait', blocks: false }
const promised: Outcome = { type: 'wait', blocks: false, promised: true }

/** A request that waits for a certain instance, though others are idle, is looked at again after so long. */
const holdMs = 100
/** It waits no longer than this where the policy counts in no time. */
const longestHoldMs = 1_000

function serve(round: Round, waiter: Waiter, blocked: boolean): Outcome {
  const { state, facts } = round
  const { wish, slotless, avoid } = waiter
  const own = [...state.entries.values()].filter((entry) => entry.key === wish.key)
  const serves = (entry: Entry) =>
    entry.phase === 'ready' && !entry.retiring && !avoid.has(entry.id) && compatible(entry, wish.options)
  const serving = own.filter(serves)
  const [any] = serving
  if (slotless && any) return { type: 'grant', entry: any }
  if (serving.some((entry) => hasFreeSlot(state, entry))) return choose(round, own, waiter, serves)
  if (takePromise(round, own, waiter)) return promised
  const open = own.filter(({ phase }) => phase !== 'closing')
  if (open.length === 0) {
    const restart = restartVerdict(state.crashes.get(wish.key), facts.nowMs)
    // Who was there when it crashed has no use for the reason: it waits for the next try.
    const wasThere = restart.verdict === 'refuse' && (avoid.size > 0 || waiter.arrivedMs < restart.lastMs)
    if (restart.verdict === 'wait' || wasThere)
      return { type: 'wait', blocks: false, untilMs: restart.untilMs }
    if (restart.verdict === 'refuse')
      return { type: 'reject', error: crashLoopError(wish, restart, facts.nowMs) }
    // It has its old memory yet.
    if (own.length > 0) return wait
    return blocked ? { type: 'wait', blocks: true } : startOrMakeRoom(round, waiter)
  }
  if (!blocked && startReplica(round, waiter, serving.length > 0)) return promised
  // Nothing of it serves what is wanted, and there is no room beside it.
  if (serving.length === 0) makeWay(round, wish.key, open)
  return wait
}

/** The instance that the policy takes, if it has a slot free; the request waits for it else. */
function choose(
  round: Round,
  own: readonly Entry[],
  waiter: Waiter,
  serves: (entry: Entry) => boolean,
): Outcome {
  const { state, facts } = round
  const decision = facts.choose(waiter, (entryId) => {
    const entry = state.entries.get(entryId)
    if (entry?.key !== waiter.wish.key || !serves(entry)) return false
    // One whose slots are taken may be worth a wait; when a device's own limit lets one in, nobody can tell.
    return entry.busy >= entry.plan.slots || hasFreeSlot(state, entry)
  })
  const [first] = decision.ranked
  if (!first) {
    if (waiter.wish.pins && startsOnPins(round, own, waiter)) return promised
    return recovers(round, own, waiter, decision) ?? amongTheIll(round, waiter, decision, serves)
  }
  const isFree = (id: number) => {
    const entry = state.entries.get(id)
    return entry !== undefined && serves(entry) && hasFreeSlot(state, entry)
  }
  const best = state.entries.get(first.candidate.id)
  if (best && isFree(best.id)) return { type: 'grant', entry: best, decision }
  waiter.holdUntilMs ??= facts.nowMs + patienceMs(decision, isFree)
  const leftMs = waiter.holdUntilMs - facts.nowMs
  if (leftMs > 0) return { type: 'wait', blocks: false, untilMs: facts.nowMs + Math.min(leftMs, holdMs) }
  const now = facts.choose(waiter, isFree)
  const free = state.entries.get(now.ranked[0]?.candidate.id ?? 0)
  return free
    ? { type: 'grant', entry: free, decision: now }
    : { type: 'wait', blocks: false, untilMs: facts.nowMs + holdMs }
}

/**
 * How long a request waits for the best instance while another one is free: until the wait has cost as much as it was
 * to save. So a prediction that is wrong, of an instance that has stopped working for one, costs twice as much at most.
 */
function patienceMs({ ranked, unit }: Decision, isFree: (id: number) => boolean): number {
  const [best] = ranked
  const free = ranked.find(({ candidate }) => isFree(candidate.id))
  if (!best || !free || unit !== 'ms') return longestHoldMs
  return free.score - best.score + best.candidate.slotWaitMs
}

/** One that fails may just be dying, and be replaced at once when its end is known. */
const deathbedMs = 1_000

/** What a request waits for that only ill instances could serve now; undefined where it has waited for long enough. */
function recovers(
  round: Round,
  own: readonly Entry[],
  waiter: Waiter,
  { excluded }: Decision,
): Outcome | undefined {
  if (!excluded.some(({ ill }) => ill)) return undefined
  if (takePromise(round, own, waiter)) return promised
  if (!round.blocked && startReplica(round, waiter, true)) return promised
  waiter.evenIllFromMs ??= round.facts.nowMs + deathbedMs
  const { evenIllFromMs } = waiter
  return evenIllFromMs > round.facts.nowMs
    ? { type: 'wait', blocks: false, untilMs: evenIllFromMs }
    : undefined
}

/** Where all are ill, a try may do better than a refusal; and a few bad requests are not to lock all others out. */
function amongTheIll(
  { state, facts }: Round,
  waiter: Waiter,
  refused: Decision,
  serves: (entry: Entry) => boolean,
): Outcome {
  const mayTry = (entryId: number) => {
    const entry = state.entries.get(entryId)
    return entry?.key === waiter.wish.key && serves(entry)
  }
  const decision = facts.choose(waiter, mayTry, { evenIll: true })
  if (decision.ranked.length === 0) return { type: 'reject', error: nowhereError(waiter, refused) }
  const ranked = decision.ranked.filter(({ candidate }) => {
    const entry = state.entries.get(candidate.id)
    return entry !== undefined && hasFreeSlot(state, entry)
  })
  const entry = state.entries.get(ranked[0]?.candidate.id ?? 0)
  return entry ? { type: 'grant', entry, decision: { ...decision, ranked } } : wait
}

/** Whether an instance is being loaded, or now will be, where a pinned request may run. */
function startsOnPins(round: Round, own: readonly Entry[], waiter: Waiter): boolean {
  const { pins = [] } = waiter.wish
  const loads = own.some(({ phase, shares }) => {
    return phase === 'loading' && shares.every(({ deviceId }) => pins.includes(deviceId))
  })
  return loads || (!round.blocked && startReplica(round, waiter, true))
}

/** Whether a load under way will have a slot for this one, that nobody before it in the queue counts on. */
function takePromise({ promised }: Round, own: readonly Entry[], { wish, slotless }: Waiter): boolean {
  for (const entry of own) {
    if (entry.phase !== 'loading' || !compatible(entry, wish.options)) continue
    const taken = promised.get(entry.id) ?? 0
    if (slotless || taken < entry.plan.slots) {
      promised.set(entry.id, taken + Number(!slotless))
      return true
    }
  }
  return false
}

function hasFreeSlot(state: LifecycleState, entry: Entry): boolean {
  if (entry.busy >= entry.plan.slots) return false
  return entry.shares.every(({ deviceId }) => {
    const most = state.limits.maxRequests?.get(deviceId)
    if (most === undefined) return true
    const here = [...state.entries.values()].filter((other) => liesOn(other, deviceId))
    return here.reduce((busy, other) => busy + other.busy, 0) < most
  })
}

/** One more instance of a model that runs: of its kind anywhere, of another kind on another device. */
function startReplica(round: Round, { wish, slotless }: Waiter, sameKind: boolean): boolean {
  if ((slotless && sameKind) || round.makingWay.has(wish.key)) return false
  const { state, facts } = round
  const own = [...state.entries.values()].filter(({ key, phase }) => key === wish.key && phase !== 'closing')
  if (sameKind && own.length >= (wish.most ?? Number.POSITIVE_INFINITY)) return false
  const kind = sameKind ? 'replica' : 'apart'
  const attempt = `${kind} ${JSON.stringify([wish.options, wish.pins])} ${wish.key}`
  if (round.placeless.has(attempt)) return false
  const restart = restartVerdict(state.crashes.get(wish.key), facts.nowMs)
  if (restart.verdict !== 'start') round.wakeAtMs = Math.min(round.wakeAtMs, restart.untilMs)
  const running = [...state.entries.values()]
  const found = restart.verdict === 'start' ? place(state, wish, facts.machine(), running, kind) : undefined
  if (!found?.ok) {
    round.placeless.add(attempt)
    return false
  }
  const entry = launch(round, wish, found.placement)
  if (!slotless) round.promised.set(entry.id, 1)
  return true
}

/** The instances that do not serve what is wanted take no more requests, and close as they become idle. */
function makeWay({ effects, makingWay }: Round, key: string, open: readonly Entry[]): void {
  makingWay.add(key)
  for (const entry of open) {
    if (entry.phase !== 'ready') continue
    entry.retiring = true
    if (entry.inUse === 0) close(entry, 'reload', effects)
  }
}

function startOrMakeRoom(round: Round, { wish, slotless }: Waiter): Outcome {
  const { state, facts, effects } = round
  const running = [...state.entries.values()]
  const machine = facts.machine()
  const found = place(state, wish, machine, running)
  if (found.ok && modelsIn(running) < state.limits.maxLoadedModels) {
    const entry = launch(round, wish, found.placement)
    if (!slotless) round.promised.set(entry.id, 1)
    return wait
  }
  // Nobody is sent away for what cannot be served even then.
  const emptied = found.ok ? found : placeOnEmpty(state, wish, machine)
  if (running.length === 0 || !emptied.ok) {
    const words = found.ok ? noRoom : emptied.ok ? found.message : emptied.message
    // Every device that would take it has perhaps been tried.
    const tried = found.ok ? undefined : state.failedOn.get(wish.key)?.error
    if (tried) state.failedOn.delete(wish.key)
    return { type: 'reject', error: tried ?? new DroverError('insufficient_memory', words) }
  }
  const mayBegin = modelsIn(running) < state.limits.maxLoadedModels
  if (mayBegin && state.limits.defragments && makeRoomByMoving(round, wish))
    return { type: 'wait', blocks: true }
  // What is leaving already may be enough.
  for (const victim of chooseVictims(state, wish, machine, facts.nowMs)) {
    if (victim.phase !== 'ready') continue
    victim.retiring = true
    if (victim.inUse === 0) close(victim, 'evicted', effects)
  }
  return { type: 'wait', blocks: true }
}

const noRoom = 'no model may be loaded: the limit of loaded models is 0'

/** Whether a model that has been idle for long is expected still is looked at so often. */
const keepLookMs = 2_000

function letIdleGo(round: Round): void {
  const { state, facts, effects } = round
  for (const entry of state.entries.values()) {
    if (entry.phase !== 'ready' || entry.inUse > 0) continue
    const expiresAtMs = entry.idleSinceMs + entry.keepAliveMs
    if (entry.retiring) close(entry, 'evicted', effects)
    else if (expiresAtMs > facts.nowMs) round.wakeAtMs = Math.min(round.wakeAtMs, expiresAtMs)
    // Somebody who wants it gone at once has the last word.
    else if (entry.keepAliveMs > 0 && state.limits.keeps?.(entry.key))
      round.wakeAtMs = Math.min(round.wakeAtMs, facts.nowMs + keepLookMs)
    else close(entry, 'expired', effects)
  }
}

/** A larger context serves a smaller request; every other option that is asked for has to be the one in force. */
function compatible(entry: Entry, wanted: LoadOptions): boolean {
  if (wanted.contextLength !== undefined && wanted.contextLength > entry.plan.contextLength) return false
  const has = entry.plan.options
  return (
    same(wanted.batchSize, has.batchSize) &&
    same(wanted.gpuLayers, has.gpuLayers) &&
    same(wanted.mainGpu, has.mainGpu) &&
    same(wanted.useMmap, has.useMmap) &&
    same(wanted.threads, has.threads)
  )
}

function same<T>(wanted: T | undefined, has: T | undefined): boolean {
  return wanted === undefined || wanted === has
}
