/**
 * Where an instance goes: on the device that has the fewest instances, first those that this model has not crashed
 * on, then the fastest, then the one with most memory free. A model that fits on no single device is spread over those
 * that its planner takes of all that spread; so is one that is to be spread by its strategy. Pure.
 */
import type { Strategy } from '../../placement/index.ts'
import { evictionCostMs } from './eviction.ts'
import { takesWork } from './quarantine.ts'
import type {
  DeviceRoom,
  Entry,
  LifecycleState,
  LoadCaps,
  LoadPlan,
  LoadWish,
  MachineFacts,
  Offer,
  Share,
} from './state.ts'

export interface Placement {
  plan: LoadPlan
  shares: Share[]
}

export type PlacementResult = { ok: true; placement: Placement } | { ok: false; message: string }

/** What an instance is started beside: the first of its model, one more of it, or one more where it does not lie yet. */
export type PlaceKind = 'first' | 'replica' | 'apart'

/** One device, or several that an instance may be spread over. */
interface Target {
  rooms: readonly DeviceRoom[]
  /** How it is to be spread; absent: whichever way is best. */
  strategy?: Strategy
}

/**
 * A place for one more instance among `running`. `replica`: the model runs already, so there has to be room within
 * its limits; `apart`: and on devices that it does not lie on yet.
 */
export function place(
  state: LifecycleState,
  wish: LoadWish,
  machine: MachineFacts,
  running: readonly Entry[],
  kind: PlaceKind = 'first',
): PlacementResult {
  const caps = state.caps.get(wish.key) ?? {}
  let message = noDevice
  for (const target of targetsOf(state, wish, machine, running, kind)) {
    const placed = placeOn(target, wish, machine, running, caps)
    if (placed.ok) return placed
    message = placed.message
  }
  return { ok: false, message }
}

const noDevice = 'no device takes the model: all are lost, full or not meant for it'

/** The same where nothing lay on the devices, neither of Drover nor of others. */
export function placeOnEmpty(state: LifecycleState, wish: LoadWish, machine: MachineFacts): PlacementResult {
  const devices = machine.devices.map((room) => ({ ...room, availableBytes: room.limitBytes }))
  return place(state, wish, { ...machine, devices }, [])
}

function targetsOf(
  state: LifecycleState,
  wish: LoadWish,
  machine: MachineFacts,
  running: readonly Entry[],
  kind: PlaceKind,
): Target[] {
  const countOn = (room: DeviceRoom, key?: string) =>
    running.filter((entry) => liesOn(entry, room.id) && (key === undefined || entry.key === key)).length
  const most = (room: DeviceRoom) =>
    kind === 'first' ? Number.POSITIVE_INFINITY : kind === 'apart' ? 1 : room.maxReplicas
  const accepting = machine.devices.filter(
    (room) =>
      room.accepts(wish) &&
      (wish.pins?.includes(room.id) ?? true) &&
      !state.devices.get(room.id)?.lost &&
      !state.failedOn.get(wish.key)?.deviceIds.has(room.id),
  )
  // A quarantined device is better than none: the model's own back-off holds it then.
  const trusted = accepting.filter((room) => takesWork(state.devices.get(room.id)))
  const working = trusted.length > 0 ? trusted : accepting
  const open = withoutFallback(working).filter(
    (room) => countOn(room) < room.maxInstances && countOn(room, wish.key) < most(room),
  )
  const crashesOn = (room: DeviceRoom) =>
    state.devices.get(room.id)?.crashes.filter(({ key }) => key === wish.key).length ?? 0
  const order = (a: DeviceRoom, b: DeviceRoom) =>
    Number(a.degraded) - Number(b.degraded) ||
    crashesOn(a) - crashesOn(b) ||
    countOn(a, wish.key) - countOn(b, wish.key) ||
    countOn(a) - countOn(b) ||
    b.speed - a.speed ||
    b.availableBytes - a.availableBytes
  const singles = open.toSorted(order).map((room) => ({ rooms: [room] }))
  // One more copy of what is spread goes where the model does not lie yet.
  const free = kind === 'first' ? working : open.filter((room) => countOn(room, wish.key) === 0)
  return byStrategy(
    wish.prefers,
    singles,
    free.filter(({ spreads }) => spreads),
  )
}

/** Single devices first, unless the model is to be spread; what is preferred gives way to what can be had. */
function byStrategy(
  strategy: Strategy | undefined,
  singles: readonly Target[],
  rooms: readonly DeviceRoom[],
): Target[] {
  const spread = (how?: Strategy): Target[] =>
    rooms.length > 1 ? [{ rooms, ...(how !== undefined && { strategy: how }) }] : []
  const onOne = strategy === undefined || strategy === 'single' || strategy === 'data'
  return onOne ? [...singles, ...spread()] : [...spread(strategy), ...singles, ...spread()]
}

function withoutFallback(rooms: readonly DeviceRoom[]): readonly DeviceRoom[] {
  const chosen = rooms.filter(({ fallback }) => !fallback)
  return chosen.length > 0 ? chosen : rooms
}

function placeOn(
  { rooms, strategy }: Target,
  wish: LoadWish,
  machine: MachineFacts,
  running: readonly Entry[],
  caps: LoadCaps,
): PlacementResult {
  const mostBytes = Math.max(0, machine.limitBytes - sum(running.map(({ bytes }) => bytes)))
  const devices = rooms.map((room) => ({ deviceId: room.id, bytes: roomOn(room, machine, running) }))
  const [first, ...more] = devices
  if (first && more.length === 0) {
    const fitted = wish.plan(Math.min(mostBytes, first.bytes), caps)
    if (!fitted.ok) return fitted
    const shares = sharesOf(rooms, [{ deviceId: first.deviceId, bytes: fitted.plan.bytes }])
    return { ok: true, placement: { plan: fitted.plan, shares } }
  }
  const spread = wish.spread({ devices, mostBytes, ...(strategy !== undefined && { strategy }) }, caps)
  if (!spread.ok) return spread
  return { ok: true, placement: { plan: spread.plan, shares: sharesOf(rooms, spread.shares) } }
}

/** What a device has for one more instance: within its limit, and within what is free less what loads take yet. */
function roomOn(room: DeviceRoom, machine: MachineFacts, running: readonly Entry[]): number {
  const pool = machine.devices.filter((other) => other.pool === room.pool).map(({ id }) => id)
  const growing = running.filter(({ phase }) => phase === 'loading')
  const left = room.limitBytes - bytesOn(running, [room.id])
  return Math.max(0, Math.min(left, room.availableBytes - bytesOn(growing, pool)))
}

function bytesOn(entries: readonly Entry[], deviceIds: readonly string[]): number {
  return sum(
    entries.flatMap(({ shares }) =>
      shares.filter(({ deviceId }) => deviceIds.includes(deviceId)).map(({ bytes }) => bytes),
    ),
  )
}

function sharesOf(rooms: readonly DeviceRoom[], shares: readonly Offer[]): Share[] {
  return shares.map((share) => ({
    ...share,
    mayFail: rooms.find(({ id }) => id === share.deviceId)?.mayFail ?? false,
  }))
}

export function liesOn(entry: Entry, deviceId: string): boolean {
  return entry.shares.some((share) => share.deviceId === deviceId)
}

/**
 * The entries whose eviction makes room for a model at the least cost: on whichever device that is. None when what is
 * leaving already frees enough. Where nothing would do by estimate, everything: the estimate may be wrong about what
 * is freed, so the last word is had when the machine is empty.
 */
export function chooseVictims(
  state: LifecycleState,
  wish: LoadWish,
  machine: MachineFacts,
  nowMs: number,
): Entry[] {
  const staying = [...state.entries.values()].filter((entry) => entry.phase !== 'closing' && !entry.retiring)
  const cost = (entry: Entry) => costOf(entry, staying, nowMs)
  const freed = roomAfter(state, staying, machine)
  if (fits(state, wish, freed, staying)) return []
  const groups = [...machine.devices.map(({ id }) => staying.filter((entry) => liesOn(entry, id))), staying]
  let best: { victims: Entry[]; costMs: number } | undefined
  for (const group of groups) {
    const byCost = group.toSorted((a, b) => cost(a) - cost(b) || a.id - b.id)
    for (let count = 1; count <= byCost.length; count++) {
      const victims = byCost.slice(0, count)
      const costMs = sum(victims.map(cost))
      if (best && costMs >= best.costMs) break
      const left = staying.filter((entry) => !victims.includes(entry))
      if (!fits(state, wish, roomAfter(state, left, machine), left)) continue
      best = { victims, costMs }
      break
    }
  }
  return best?.victims ?? staying
}

function fits(state: LifecycleState, wish: LoadWish, machine: MachineFacts, left: readonly Entry[]): boolean {
  return modelsIn(left) < state.limits.maxLoadedModels && place(state, wish, machine, left).ok
}

/** Different models among the entries. */
export function modelsIn(entries: readonly Entry[]): number {
  return new Set(entries.map(({ key }) => key)).size
}

/** The machine once only `left` remain: what the others took is free again. */
export function roomAfter(
  state: LifecycleState,
  left: readonly Entry[],
  machine: MachineFacts,
): MachineFacts {
  const leaving = [...state.entries.values()].filter(
    (entry) => !left.includes(entry) && entry.phase !== 'loading',
  )
  const devices = machine.devices.map((room) => {
    const pool = machine.devices.filter((other) => other.pool === room.pool).map(({ id }) => id)
    return { ...room, availableBytes: room.availableBytes + bytesOn(leaving, pool) }
  })
  return { ...machine, devices }
}

function costOf(entry: Entry, staying: readonly Entry[], nowMs: number): number {
  const replicas = staying.filter(({ key }) => key === entry.key).length
  const idleMs = entry.inUse > 0 ? 0 : nowMs - entry.idleSinceMs
  return evictionCostMs({
    loadMs: Math.max(1, entry.loadMs),
    idleMs,
    // What is kept for ever is the model, not each of its copies.
    pinned: entry.keepAliveMs === Number.POSITIVE_INFINITY && replicas === 1,
    replicas,
  })
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
