/**
 * The lifecycle of models: who is loaded, who waits, who has to go. Facts in, effects out; no I/O, no timers.
 * `settle` is run after every event and brings the state to rest.
 *
 * The rules, in order, for each waiting request (oldest first):
 * 1. its model is ready and compatible: granted;
 * 2. its model is loading: it waits for that load, whoever asked for it;
 * 3. its model is ready but incompatible (a larger context is wanted): no new request gets in, it closes when idle;
 * 4. its model crashes again and again: it waits for the back-off, or is refused with the reason;
 * 5. there is room: the load starts; else the models whose eviction costs least are closed as they become idle;
 * 6. not even an empty machine would have room: refused with what would fit.
 * A request blocked by 5 keeps later ones from starting loads, so that small models cannot starve a large one.
 */
import { DroverError } from '../../inference/index.ts'
import { evictionCostMs } from './eviction.ts'
import { recordCrash, restartVerdict } from './restart.ts'
import type {
  Effect,
  Entry,
  LifecycleFacts,
  LifecycleLimits,
  LifecycleState,
  LoadOptions,
  LoadWish,
  MemoryFacts,
} from './state.ts'

export function createLifecycle(limits: LifecycleLimits): LifecycleState {
  return { nextId: 1, entries: new Map(), waiters: [], crashes: new Map(), limits, closed: false }
}

/** Queues a request. Throws `busy` when too many wait already, `shutting_down` at the end of the server's life. */
export function request(state: LifecycleState, wish: LoadWish): number {
  if (state.closed) throw new DroverError('shutting_down', 'the server is shutting down')
  const entry = findEntry(state, wish.key)
  const waitsForLoad = !(entry && serves(entry, wish))
  const full = waitsForLoad
    ? state.waiters.length >= state.limits.maxWaiting
    : entry.inUse >= entry.plan.slots + state.limits.maxQueuedPerInstance
  if (full) throw new DroverError('busy', 'server busy, please try again.  maximum pending requests exceeded')
  const id = state.nextId++
  state.waiters.push({ id, wish })
  return id
}

/** A waiting request was withdrawn. */
export function withdraw(state: LifecycleState, waiterId: number): void {
  state.waiters = state.waiters.filter((waiter) => waiter.id !== waiterId)
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
  entry.loadMs = seen.nowMs - entry.startedAtMs
  entry.idleSinceMs = seen.nowMs
  // An engine that gives less than it was asked for must not be asked again by every request.
  const contextLength = Math.max(seen.contextLength, entry.plan.contextLength)
  entry.plan = { ...entry.plan, slots: seen.slots, contextLength }
  if (seen.bytes > 0) entry.bytes = seen.bytes
}

/** A launch failed: everybody who waited for this load hears why. */
export function launchFailed(
  state: LifecycleState,
  entryId: number,
  error: DroverError,
  nowMs: number,
): Effect[] {
  const entry = state.entries.get(entryId)
  if (!entry) return []
  state.entries.delete(entryId)
  if (error.code === 'engine_crashed') {
    state.crashes.set(entry.key, recordCrash(state.crashes.get(entry.key), nowMs, error.message))
  }
  const losers = state.waiters.filter((waiter) => waiter.wish.key === entry.key)
  state.waiters = state.waiters.filter((waiter) => waiter.wish.key !== entry.key)
  return losers.map((waiter) => ({ type: 'reject', waiterId: waiter.id, error }))
}

/** An instance has ended. `crash` is the reason when nobody asked it to; true is returned when it should come back. */
export function ended(state: LifecycleState, entryId: number, nowMs: number, crash?: string): boolean {
  const entry = state.entries.get(entryId)
  if (!entry) return false
  state.entries.delete(entryId)
  if (crash === undefined || entry.phase === 'closing') return false
  state.crashes.set(entry.key, recordCrash(state.crashes.get(entry.key), nowMs, crash))
  return entry.inUse > 0 || entry.keepAliveMs > nowMs - entry.idleSinceMs
}

/** A request is done with an instance. */
export function release(state: LifecycleState, entryId: number, nowMs: number): void {
  const entry = state.entries.get(entryId)
  if (!entry) return
  entry.inUse--
  if (entry.inUse === 0) entry.idleSinceMs = nowMs
}

/** How long to keep a model from its last request on; applies to what is loaded or loading under this key. */
export function keepAlive(state: LifecycleState, key: string, keepAliveMs: number): void {
  const entry = findEntry(state, key)
  if (entry) entry.keepAliveMs = keepAliveMs
}

/** Brings the state to rest: grants, loads, evictions, expiries, refusals. */
export function settle(state: LifecycleState, facts: LifecycleFacts, defaultKeepAliveMs: number): Effect[] {
  const effects: Effect[] = []
  // Who has to make room follows from who waits now; a waiter that has gone no longer sends anybody away.
  for (const entry of state.entries.values()) entry.retiring = false
  // Those who wait are served before idle models are let go: one of them may want just that model.
  let blocked = false
  let wakeAtMs = Number.POSITIVE_INFINITY
  const stillWaiting = []
  for (const waiter of state.waiters) {
    const outcome = serve(state, waiter.wish, facts, blocked, effects, defaultKeepAliveMs)
    if (outcome.type === 'grant') {
      outcome.entry.inUse++
      effects.push({ type: 'grant', waiterId: waiter.id, entryId: outcome.entry.id })
    } else if (outcome.type === 'reject') {
      effects.push({ type: 'reject', waiterId: waiter.id, error: outcome.error })
    } else {
      stillWaiting.push(waiter)
      blocked ||= outcome.blocks
      wakeAtMs = Math.min(wakeAtMs, outcome.untilMs ?? Number.POSITIVE_INFINITY)
    }
  }
  state.waiters = stillWaiting
  for (const entry of state.entries.values()) {
    if (entry.phase !== 'ready' || entry.inUse > 0) continue
    const expiresAtMs = entry.idleSinceMs + entry.keepAliveMs
    if (entry.retiring) close(entry, 'evicted', effects)
    else if (expiresAtMs <= facts.nowMs) close(entry, 'expired', effects)
    else wakeAtMs = Math.min(wakeAtMs, expiresAtMs)
  }
  if (wakeAtMs !== Number.POSITIVE_INFINITY) effects.push({ type: 'wake', atMs: wakeAtMs })
  return effects
}

type Outcome =
  | { type: 'grant'; entry: Entry }
  | { type: 'reject'; error: DroverError }
  | { type: 'wait'; blocks: boolean; untilMs?: number }

function serve(
  state: LifecycleState,
  wish: LoadWish,
  facts: LifecycleFacts,
  blocked: boolean,
  effects: Effect[],
  defaultKeepAliveMs: number,
): Outcome {
  const entry = findEntry(state, wish.key)
  if (entry?.phase === 'ready' && !entry.retiring && compatible(entry, wish.options))
    return { type: 'grant', entry }
  if (entry) {
    if (entry.phase === 'ready') {
      entry.retiring = true
      if (entry.inUse === 0) close(entry, 'reload', effects)
    }
    return { type: 'wait', blocks: false }
  }
  const restart = restartVerdict(state.crashes.get(wish.key), facts.nowMs)
  if (restart.verdict === 'wait') return { type: 'wait', blocks: false, untilMs: restart.untilMs }
  if (restart.verdict === 'refuse')
    return { type: 'reject', error: crashLoopError(wish, restart, facts.nowMs) }
  if (blocked) return { type: 'wait', blocks: true }
  return startOrMakeRoom(state, wish, facts, effects, defaultKeepAliveMs)
}

function startOrMakeRoom(
  state: LifecycleState,
  wish: LoadWish,
  facts: LifecycleFacts,
  effects: Effect[],
  defaultKeepAliveMs: number,
): Outcome {
  const running = [...state.entries.values()]
  const memory = facts.memory()
  const fitted = wish.plan(budgetBytes(running, memory))
  if (fitted.ok && running.length < state.limits.maxLoadedModels) {
    const entry: Entry = {
      id: state.nextId++,
      key: wish.key,
      modelName: wish.modelName,
      phase: 'loading',
      plan: fitted.plan,
      bytes: fitted.plan.bytes,
      inUse: 0,
      retiring: false,
      keepAliveMs: defaultKeepAliveMs,
      idleSinceMs: facts.nowMs,
      startedAtMs: facts.nowMs,
      loadMs: 0,
    }
    state.entries.set(entry.id, entry)
    effects.push({ type: 'launch', entryId: entry.id, wish, plan: fitted.plan })
    return { type: 'wait', blocks: false }
  }
  if (running.length === 0) {
    return {
      type: 'reject',
      error: new DroverError('insufficient_memory', fitted.ok ? noRoom : fitted.message),
    }
  }
  // What is leaving already may be enough.
  const staying = running.filter((entry) => entry.phase !== 'closing' && !entry.retiring)
  const victims = chooseVictims(state, staying, wish, memory, facts.nowMs)
  for (const victim of victims) {
    if (victim.phase !== 'ready') continue
    victim.retiring = true
    if (victim.inUse === 0) close(victim, 'evicted', effects)
  }
  return { type: 'wait', blocks: true }
}

const noRoom = 'no model may be loaded: the limit of loaded models is 0'

/** The cheapest to lose of those that stay, as many as it takes; none when what is leaving frees enough. */
function chooseVictims(
  state: LifecycleState,
  staying: Entry[],
  wish: LoadWish,
  memory: MemoryFacts,
  nowMs: number,
): Entry[] {
  const byCost = staying
    .map((entry) => ({ entry, costMs: costOf(entry, nowMs) }))
    .sort((a, b) => a.costMs - b.costMs || a.entry.id - b.entry.id)
    .map(({ entry }) => entry)
  for (let count = 0; count <= byCost.length; count++) {
    const left = byCost.slice(count)
    if (left.length < state.limits.maxLoadedModels && wish.plan(budgetWithout(state, left, memory)).ok) {
      return byCost.slice(0, count)
    }
  }
  // Nothing would do, by estimate. The estimate may be wrong about what is freed, so the last word is had when
  // the machine is empty.
  return byCost
}

function costOf(entry: Entry, nowMs: number): number {
  const idleMs = entry.inUse > 0 ? 0 : nowMs - entry.idleSinceMs
  return evictionCostMs({
    loadMs: Math.max(1, entry.loadMs),
    idleMs,
    pinned: entry.keepAliveMs === Number.POSITIVE_INFINITY,
  })
}

/** Memory for one more model beside these: within the limit, and within what is free now less what loads take yet. */
function budgetBytes(running: Entry[], memory: MemoryFacts): number {
  const taken = sumBytes(running)
  const stillGrowing = sumBytes(running.filter((entry) => entry.phase === 'loading'))
  return Math.max(0, Math.min(memory.limitBytes - taken, memory.availableBytes - stillGrowing))
}

/** The budget once only `left` remain. */
function budgetWithout(state: LifecycleState, left: Entry[], memory: MemoryFacts): number {
  const leaving = [...state.entries.values()].filter((entry) => !left.includes(entry))
  const availableBytes =
    memory.availableBytes + sumBytes(leaving.filter((entry) => entry.phase !== 'loading'))
  return budgetBytes(left, { ...memory, availableBytes })
}

function sumBytes(entries: Entry[]): number {
  return entries.reduce((sum, entry) => sum + entry.bytes, 0)
}

function close(entry: Entry, reason: 'evicted' | 'expired' | 'reload', effects: Effect[]): void {
  entry.phase = 'closing'
  effects.push({ type: 'close', entryId: entry.id, reason })
}

function findEntry(state: LifecycleState, key: string): Entry | undefined {
  for (const entry of state.entries.values()) if (entry.key === key) return entry
  return undefined
}

function serves(entry: Entry, wish: LoadWish): boolean {
  return entry.phase === 'ready' && !entry.retiring && compatible(entry, wish.options)
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

function crashLoopError(
  wish: LoadWish,
  restart: { untilMs: number; crashes: number; reason: string },
  nowMs: number,
): DroverError {
  const seconds = Math.max(1, Math.ceil((restart.untilMs - nowMs) / 1000))
  return new DroverError(
    'crash_loop',
    `model "${wish.modelName}" keeps crashing: ${restart.crashes} times in the last 5 minutes, ` +
      `last because: ${restart.reason}. The next try is in ${seconds} s`,
  )
}
