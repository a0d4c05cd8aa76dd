/**
 * Which instances would do better elsewhere.
 *
 * The sum of the squares of the devices' loads says how badly they are laid out: it is least where each device has what
 * it can do. The best move is the one that takes most off it, where the target has the memory, may be used, and holds
 * nothing of the model yet: one device, or those over which the planner would divide it, which it does where no single one
 * holds it or the configuration wants it so. A move has to take off a tenth of what its devices have: so each move of a row
 * makes the sum less, and the row ends. Costs: instances times devices a move, and a plan for each instance.
 */
import type { Action, Deployment, DeviceFacts, PlacedInstance, ReconcileFacts } from './contract.ts'
import { idleWeight, loadOf, loadsOf } from './load.ts'

/** What a move has to take off the squares of its devices' loads. */
const leastGain = 0.1

export type MoveAction = Extract<Action, { type: 'move' }>

export interface BalanceLimits {
  /** Only what lies on one of these may move; absent: anything. */
  from?: ReadonlySet<string>
  /** What an instance counts for that does nothing. */
  baseWeight: number
  /** Instances that were placed by hand stay. */
  keepsFixed: boolean
}

type Shares = PlacedInstance['shares']

/** The best move, if any is worth it, with what it takes of its devices. Ties go to the lower id. */
export function bestMove(
  facts: ReconcileFacts,
  limits: BalanceLimits,
): { action: MoveAction; shares: Shares } | undefined {
  const { instances, devices } = facts
  const loads = loadsOf(devices, instances, limits.baseWeight)
  let best: { action: MoveAction; shares: Shares; gain: number } | undefined
  for (const instance of instances) {
    if (instance.state !== 'ready' || (limits.keepsFixed && instance.fixed)) continue
    const { from } = limits
    if (from && !instance.shares.some(({ deviceId }) => from.has(deviceId))) continue
    for (const shares of placesFor(instance, facts)) {
      const gain = gainOf(instance, shares, devices, loads, limits.baseWeight)
      if (gain === undefined || (best && gain <= best.gain)) continue
      best = { gain, shares, action: moveOf(instance, shares, loads) }
    }
  }
  return best && { action: best.action, shares: best.shares }
}

/**
 * The moves that lay out anew what runs, one after the other: each counts on those before it, so that they can be made
 * at the same time. An idle instance counts too, for what may come; what was placed by hand does not stay for that.
 */
export function rebalance(facts: ReconcileFacts): MoveAction[] {
  const moves: MoveAction[] = []
  let now = facts
  // Each instance moves once at most: the second of two moves would have to wait for the first.
  const moved = new Set<number>()
  for (;;) {
    const still = now.instances.filter(({ id }) => !moved.has(id))
    const fixed = now.instances.filter(({ id }) => moved.has(id)).map((one) => ({ ...one, fixed: true }))
    const free = still.map((one) => ({ ...one, fixed: false }))
    const next = bestMove(
      { ...now, instances: [...free, ...fixed] },
      { baseWeight: idleWeight, keepsFixed: true },
    )
    if (!next) return moves
    moves.push(next.action)
    moved.add(next.action.instance)
    now = afterMove(now, next)
  }
}

/** The world when a move is done, but for the memory that is freed: until then others must not count on that. */
function afterMove(
  facts: ReconcileFacts,
  { action, shares }: { action: MoveAction; shares: Shares },
): ReconcileFacts {
  const taken = new Map(shares.map(({ deviceId, bytes }) => [deviceId, bytes]))
  return {
    ...facts,
    instances: facts.instances.map((one) => (one.id === action.instance ? { ...one, shares } : one)),
    devices: facts.devices.map((device) => ({
      ...device,
      freeBytes: device.freeBytes - (taken.get(device.id) ?? 0),
    })),
  }
}

const bytesOf = ({ shares }: PlacedInstance) => shares.reduce((sum, { bytes }) => sum + bytes, 0)

/** Single devices that have the memory, and the devices that the planner would take together. */
function placesFor(instance: PlacedInstance, facts: ReconcileFacts): Shares[] {
  const { devices, deployments } = facts
  const deployment = deployments.find(({ model }) => model === instance.model)
  const open = devices.filter((device) => mayTake(device, instance, facts, deployment))
  const bytes = bytesOf(instance)
  const singles = open
    .filter(({ freeBytes }) => freeBytes >= bytes)
    .map(({ id }) => [{ deviceId: id, bytes }])
  const ids = open.map(({ id }) => id)
  const split = ids.length > 1 ? facts.layOut?.(instance, ids) : undefined
  const hasRoom = (share: Shares[number]) =>
    open.some(({ id, freeBytes }) => id === share.deviceId && freeBytes >= share.bytes)
  return split && split.length > 1 && split.every(hasRoom) ? [...singles, split] : singles
}

function mayTake(
  { id, usable, degraded, fallback }: DeviceFacts,
  instance: PlacedInstance,
  { instances, devices }: ReconcileFacts,
  deployment: Deployment | undefined,
): boolean {
  if (!usable || degraded) return false
  if (fallback && devices.some((other) => other.usable && !other.fallback)) return false
  if (deployment?.pins && !deployment.pins.includes(id)) return false
  return !instances.some(
    (one) => one.model === instance.model && one.shares.some(({ deviceId }) => deviceId === id),
  )
}

/** What the squares of the loads lose by the move; undefined where that is too little. */
function gainOf(
  instance: PlacedInstance,
  shares: Shares,
  devices: readonly DeviceFacts[],
  loads: ReadonlyMap<string, number>,
  baseWeight: number,
): number | undefined {
  const leaves = loadOf(instance, devices, baseWeight)
  const comes = loadOf({ ...instance, shares }, devices, baseWeight)
  let before = 0
  let after = 0
  for (const id of new Set([...leaves.keys(), ...comes.keys()])) {
    const load = loads.get(id) ?? 0
    before += load ** 2
    after += (load - (leaves.get(id) ?? 0) + (comes.get(id) ?? 0)) ** 2
  }
  const gain = before - after
  return gain > 0 && gain >= before * leastGain ? gain : undefined
}

function moveOf(instance: PlacedInstance, shares: Shares, loads: ReadonlyMap<string, number>): MoveAction {
  const from = instance.shares.map(({ deviceId }) => deviceId)
  const to = shares.map(({ deviceId }) => deviceId)
  const most = (ids: readonly string[]) => Math.max(...ids.map((id) => loads.get(id) ?? 0)).toFixed(2)
  return {
    type: 'move',
    model: instance.model,
    instance: instance.id,
    from,
    to,
    reason: `${from.join(' + ')} has a load of ${most(from)}, ${to.join(' + ')} one of ${most(to)}`,
  }
}
