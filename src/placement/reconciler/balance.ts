/**
 * Which instances would do better elsewhere.
 *
 * The sum of the squares of the devices' loads says how badly they are laid out: it is least where each device has what
 * it can do. The best move is the one that takes most off it, where the target has the memory, may be used, and holds
 * nothing of the model yet. A move has to take off a tenth of what its devices have: so each move of a row makes the sum
 * less, and the row ends. Costs: instances times devices a move.
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

/** The best move, if any is worth it. Ties go to the lower id. */
export function bestMove(facts: ReconcileFacts, limits: BalanceLimits): MoveAction | undefined {
  const { instances, devices, deployments } = facts
  const loads = loadsOf(devices, instances, limits.baseWeight)
  let best: { action: MoveAction; gain: number } | undefined
  for (const instance of instances) {
    if (instance.state !== 'ready' || (limits.keepsFixed && instance.fixed)) continue
    const { from } = limits
    if (from && !instance.shares.some(({ deviceId }) => from.has(deviceId))) continue
    const deployment = deployments.find(({ model }) => model === instance.model)
    for (const device of devices) {
      if (!mayTake(device, instance, facts, deployment)) continue
      const gain = gainOf(instance, device, devices, loads, limits.baseWeight)
      if (gain === undefined || (best && gain <= best.gain)) continue
      best = { gain, action: moveOf(instance, device, loads) }
    }
  }
  return best?.action
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
    moves.push(next)
    moved.add(next.instance)
    now = afterMove(now, next)
  }
}

/** The world when a move is done, but for the memory that is freed: until then others must not count on that. */
export function afterMove(facts: ReconcileFacts, { instance: id, to }: MoveAction): ReconcileFacts {
  const moving = facts.instances.find((one) => one.id === id)
  const [target] = to
  if (!moving || target === undefined) return facts
  const bytes = bytesOf(moving)
  return {
    ...facts,
    instances: facts.instances.map((one) =>
      one.id === id ? { ...one, shares: [{ deviceId: target, bytes }] } : one,
    ),
    devices: facts.devices.map((device) =>
      device.id === target ? { ...device, freeBytes: device.freeBytes - bytes } : device,
    ),
  }
}

export const bytesOf = ({ shares }: PlacedInstance) => shares.reduce((sum, { bytes }) => sum + bytes, 0)

function mayTake(
  { id, usable, degraded, fallback, freeBytes }: DeviceFacts,
  instance: PlacedInstance,
  { instances, devices }: ReconcileFacts,
  deployment: Deployment | undefined,
): boolean {
  if (!usable || degraded || freeBytes < bytesOf(instance)) return false
  if (fallback && devices.some((other) => other.usable && !other.fallback)) return false
  if (deployment?.pins && !deployment.pins.includes(id)) return false
  return !instances.some(
    (one) => one.model === instance.model && one.shares.some(({ deviceId }) => deviceId === id),
  )
}

/** What the squares of the loads lose by the move; undefined where that is too little. */
function gainOf(
  instance: PlacedInstance,
  device: DeviceFacts,
  devices: readonly DeviceFacts[],
  loads: ReadonlyMap<string, number>,
  baseWeight: number,
): number | undefined {
  const leaves = loadOf(instance, devices, baseWeight)
  const there = { ...instance, shares: [{ deviceId: device.id, bytes: 1 }] }
  const comes = loadOf(there, devices, baseWeight).get(device.id) ?? 0
  let before = 0
  let after = 0
  for (const id of new Set([...leaves.keys(), device.id])) {
    const load = loads.get(id) ?? 0
    before += load ** 2
    after += (load - (leaves.get(id) ?? 0) + (id === device.id ? comes : 0)) ** 2
  }
  const gain = before - after
  return gain > 0 && gain >= before * leastGain ? gain : undefined
}

function moveOf(
  instance: PlacedInstance,
  device: DeviceFacts,
  loads: ReadonlyMap<string, number>,
): MoveAction {
  const from = instance.shares.map(({ deviceId }) => deviceId)
  const here = Math.max(...from.map((id) => loads.get(id) ?? 0))
  const there = loads.get(device.id) ?? 0
  return {
    type: 'move',
    model: instance.model,
    instance: instance.id,
    from,
    to: [device.id],
    reason: `${from.join(' + ')} has a load of ${here.toFixed(2)}, ${device.id} one of ${there.toFixed(2)}`,
  }
}
