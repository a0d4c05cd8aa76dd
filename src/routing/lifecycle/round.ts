import type { Placement } from './place.ts'
import type { CloseReason, Effect, Entry, LifecycleFacts, LifecycleState, LoadWish } from './state.ts'

/** What one `settle` works with. */
export interface Round {
  state: LifecycleState
  facts: LifecycleFacts
  defaultKeepAliveMs: number
  effects: Effect[]
  wakeAtMs: number
  /** Slots of loads under way that somebody before in the queue counts on. */
  promised: Map<number, number>
  /** Somebody waits for room: nobody behind may take it. */
  blocked: boolean
  /** Further instances that were found to have no place: nothing in a round gives them one. */
  placeless: Set<string>
  /** Models whose instances make way for one of another kind: those behind may not have another of the old kind. */
  makingWay: Set<string>
}

/** Takes the room for an instance, and has it started; a `warm` one is tried out before it takes requests. */
export function launch(
  round: Round,
  wish: LoadWish,
  { plan, shares }: Placement,
  { warm = false } = {},
): Entry {
  const { state, facts, effects } = round
  const entry: Entry = {
    id: state.nextId++,
    key: wish.key,
    modelName: wish.modelName,
    wish,
    phase: 'loading',
    plan,
    bytes: plan.bytes,
    shares,
    inUse: 0,
    busy: 0,
    served: 0,
    retiring: false,
    stale: false,
    keepAliveMs: keepAliveOf(round, wish.key),
    idleSinceMs: facts.nowMs,
    startedAtMs: facts.nowMs,
    loadMs: 0,
  }
  state.entries.set(entry.id, entry)
  const deviceIds = shares.map(({ deviceId }) => deviceId)
  effects.push({ type: 'launch', entryId: entry.id, wish, plan, deviceIds, ...(warm && { warm }) })
  return entry
}

/** A copy lives by the rule of those that run already. */
function keepAliveOf({ state, defaultKeepAliveMs }: Round, key: string): number {
  for (const entry of state.entries.values()) if (entry.key === key) return entry.keepAliveMs
  return defaultKeepAliveMs
}

export function close(entry: Entry, reason: CloseReason, effects: Effect[]): void {
  entry.phase = 'closing'
  effects.push({ type: 'close', entryId: entry.id, reason })
}
