/**
 * Wanted against running: what is to be started, moved and stopped now.
 *
 * In this order, and at most one change of a model in a round:
 * 1. fewer instances than wanted: one is started for each that is missing;
 * 2. more than allowed: the idlest one stops;
 * 3. a model has had too much to do for a while, and may have more instances: one is started;
 * 4. it has so little to do that one fewer would be half idle yet, and its idlest one has been idle for long: that stops;
 * 5. a device has had too much to do for a while: the move that helps most is made, one at a time, where migration is on.
 * Nothing stops that is the last ready instance of its model. After a change a model is left alone for the cool-down, and
 * so are moves; too much begins at the threshold and ends at half of it. Pure.
 */
import { bestMove } from './balance.ts'
import type {
  Action,
  Deployment,
  DeviceFacts,
  PlacedInstance,
  ReconcileFacts,
  ReconcileMemory,
  ReconcileSettings,
} from './contract.ts'
import { loadsOf } from './load.ts'

export interface Reconciled {
  actions: Action[]
  memory: ReconcileMemory
}

/** `migrates` absent: instances are moved by hand only. */
export function reconcile(
  facts: ReconcileFacts,
  before: ReconcileMemory,
  settings: ReconcileSettings & { migrates?: boolean },
): Reconciled {
  const memory = remembered(facts, before, settings)
  const actions: Action[] = []
  const touched = new Set<string>()
  /** Memory that is to be taken by what this round starts. */
  let devices = facts.devices
  const act = (action: Action) => {
    actions.push(action)
    touched.add(action.model)
    if (action.type === 'start') devices = afterStart(devices, action, facts.sizes)
  }
  for (const deployment of facts.deployments.toSorted((a, b) => b.priority - a.priority)) {
    const now = { ...facts, devices }
    for (const action of changesOf(deployment, now, memory, settings)) act(action)
  }
  if (settings.migrates && mayMove(facts, memory, settings, touched)) {
    const hot = new Set(
      [...memory.hotSinceMs].filter(([, ms]) => facts.nowMs - ms >= settings.sustainMs).map(([id]) => id),
    )
    const instances = facts.instances.filter(({ model }) => !touched.has(model))
    // Those whose models change are where they are, and stay there.
    const others = facts.instances.filter(({ model }) => touched.has(model))
    const fixed = others.map((one) => ({ ...one, fixed: true }))
    const next = bestMove(
      { ...facts, devices, instances: [...instances, ...fixed] },
      { from: hot, baseWeight: 0, keepsFixed: true },
    )
    if (next) act(next.action)
  }
  return { actions, memory: afterActions(memory, actions, facts.nowMs) }
}

/** One change of a model's instances, or as many starts as are missing. */
function changesOf(
  deployment: Deployment,
  facts: ReconcileFacts,
  memory: ReconcileMemory,
  settings: ReconcileSettings,
): Action[] {
  const { model, least, most } = deployment
  const { nowMs } = facts
  const live = facts.instances.filter((one) => one.model === model && one.state !== 'leaving')
  const ready = live.filter(({ state }) => state === 'ready')
  const rests = nowMs - (memory.changedAtMs.get(model) ?? Number.NEGATIVE_INFINITY) >= settings.cooldownMs
  if (!rests) return []
  if (live.length < least) return startsOf(deployment, least - live.length, facts, deployment.reason)
  const slots = ready.reduce((sum, one) => sum + one.slots, 0)
  const wanted = ready.reduce((sum, one) => sum + one.running, 0) + (facts.waiting.get(model) ?? 0)
  const idlest = ready.toSorted((a, b) => b.idleMs - a.idleMs || b.id - a.id)[0]
  const spare = idlest !== undefined && ready.length > 1 ? idlest : undefined
  if (live.length > most) {
    return spare ? [stopOf(spare, `${live.length} instances run, and ${most} are allowed`)] : []
  }
  const busyMs = nowMs - (memory.busySinceMs.get(model) ?? nowMs)
  if (busyMs >= settings.sustainMs && live.length < most && live.length === ready.length) {
    const load = (wanted / Math.max(1, slots)).toFixed(2)
    return startsOf(deployment, 1, facts, `${wanted} requests for ${slots} slots: a load of ${load}`)
  }
  if (spare && live.length > least && spare.idleMs >= settings.surplusIdleMs) {
    const left = slots - spare.slots
    if (left > 0 && wanted / left <= settings.threshold / 2) {
      const seconds = Math.round(spare.idleMs / 1000)
      return [
        stopOf(spare, `${wanted} requests need no more than ${left} slots, and it was idle for ${seconds} s`),
      ]
    }
  }
  return []
}

function stopOf({ id, model, shares }: PlacedInstance, reason: string): Action {
  return { type: 'stop', model, instance: id, from: shares.map(({ deviceId }) => deviceId), reason }
}

/** Where instances that are missing go: those devices that hold none of the model, the emptiest and fastest first. */
function startsOf(
  { model, pins }: Deployment,
  count: number,
  { devices, instances, sizes }: ReconcileFacts,
  reason: string,
): Action[] {
  const needed = sizes.get(model)
  const liesOn = ({ shares }: PlacedInstance, id: string) => shares.some(({ deviceId }) => deviceId === id)
  const usable = devices.filter(({ id, usable: isUsable }) => isUsable && (pins?.includes(id) ?? true))
  const chosen = usable.some(({ fallback }) => !fallback)
    ? usable.filter(({ fallback }) => !fallback)
    : usable
  const loads = loadsOf(devices, instances)
  const free = chosen.filter(
    ({ id, freeBytes }) =>
      (needed === undefined || freeBytes >= needed) &&
      !instances.some((one) => one.model === model && liesOn(one, id)),
  )
  const order = (a: DeviceFacts, b: DeviceFacts) =>
    Number(a.degraded) - Number(b.degraded) ||
    (loads.get(a.id) ?? 0) - (loads.get(b.id) ?? 0) ||
    b.speed - a.speed ||
    b.freeBytes - a.freeBytes
  const targets = free.toSorted(order).map(({ id }) => [id])
  // Nothing is known of a model that never ran, or it fits on no device alone: it takes those that it needs.
  const together = chosen.map(({ id }) => id)
  const first = !instances.some((one) => one.model === model)
  const anywhere = first && (needed === undefined || targets.length === 0) && together.length > 0
  const places = anywhere ? [together, ...targets.slice(1)] : targets
  return places.slice(0, count).map((to) => ({ type: 'start', model, to, reason }))
}

function afterStart(
  devices: readonly DeviceFacts[],
  { model, to }: Extract<Action, { type: 'start' }>,
  sizes: ReadonlyMap<string, number>,
): readonly DeviceFacts[] {
  const bytes = (sizes.get(model) ?? 0) / Math.max(1, to.length)
  return devices.map((device) =>
    to.includes(device.id) ? { ...device, freeBytes: device.freeBytes - bytes } : device,
  )
}

/** One move at a time, and none while anything loads or leaves: what the devices will have to do is not known then. */
function mayMove(
  { nowMs, instances }: ReconcileFacts,
  { movedAtMs }: ReconcileMemory,
  { cooldownMs }: ReconcileSettings,
  touched: ReadonlySet<string>,
): boolean {
  if (nowMs - movedAtMs < cooldownMs || touched.size > 0) return false
  return instances.every(({ state }) => state === 'ready')
}

function remembered(
  { nowMs, instances, devices, waiting }: ReconcileFacts,
  before: ReconcileMemory,
  { threshold }: ReconcileSettings,
): ReconcileMemory {
  const models = new Map<string, number>()
  for (const [model, own] of Map.groupBy(instances, (one) => one.model)) {
    const ready = own.filter(({ state }) => state === 'ready')
    const slots = ready.reduce((sum, one) => sum + one.slots, 0)
    const running = ready.reduce((sum, one) => sum + one.running, 0)
    if (slots > 0) models.set(model, (running + (waiting.get(model) ?? 0)) / slots)
  }
  return {
    ...before,
    busySinceMs: sinceWhen(models, before.busySinceMs, threshold, nowMs),
    hotSinceMs: sinceWhen(loadsOf(devices, instances), before.hotSinceMs, threshold, nowMs),
  }
}

function sinceWhen(
  loads: ReadonlyMap<string, number>,
  before: ReadonlyMap<string, number>,
  threshold: number,
  nowMs: number,
): ReadonlyMap<string, number> {
  const since = new Map<string, number>()
  for (const [name, load] of loads) {
    const sinceMs = before.get(name)
    if (load >= threshold) since.set(name, sinceMs ?? nowMs)
    else if (sinceMs !== undefined && load > threshold / 2) since.set(name, sinceMs)
  }
  return since
}

function afterActions(memory: ReconcileMemory, actions: readonly Action[], nowMs: number): ReconcileMemory {
  if (actions.length === 0) return memory
  const changedAtMs = new Map(memory.changedAtMs)
  for (const { model } of actions) changedAtMs.set(model, nowMs)
  return {
    ...memory,
    changedAtMs,
    movedAtMs: actions.some(({ type }) => type === 'move') ? nowMs : memory.movedAtMs,
  }
}
