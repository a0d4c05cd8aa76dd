import type { Inventory, Plan, PlanModel, PlanResult, PlanWishes } from '../contract.ts'
import { costsOf } from '../memory/costs.ts'
import { planModel } from './plan.ts'
import type { CostsOf } from './runs.ts'

/** One of several models that are to run at the same time. */
export interface PlanRequest {
  model: PlanModel
  wishes: PlanWishes
  /** The highest is placed first; 0 by default. */
  priority?: number
}

/** A device that serves a model already counts so much of its rates for the next: they take turns, and both have to wait. */
const sharedRate = 0.25

/** What is left of an inventory, and which devices no model uses. */
interface Left {
  inventory: Inventory
  used: ReadonlySet<string>
}

/**
 * Plans several models side by side, each on what those before it leave: by priority, then the largest first, as it has
 * the fewest places. Every model gets one instance before any gets another; then idle devices go round for replicas,
 * where their number is open. Results are in the order of the requests. Pure.
 */
export function planAll(
  requests: readonly PlanRequest[],
  inventory: Inventory,
  costs: CostsOf = costsOf,
): PlanResult[] {
  const order = requests
    .map((request, at) => ({ request, at }))
    .sort((a, b) => before(a.request, b.request) || a.at - b.at)
  const results: PlanResult[] = []
  let left: Left = { inventory, used: new Set() }
  for (const { request, at } of order) {
    const { model, wishes } = request
    const result = planModel(model, left.inventory, { ...wishes, replicas: wishes.replicas ?? 1 }, costs)
    results[at] = result
    if (result.ok) left = take(left, result.plans[0])
  }
  for (const { request, at } of order) {
    const first = results[at]
    if (!first?.ok) continue
    const more = replicasOf(request, left, costs, first.plans[0])
    if (!more) continue
    left = take(left, more)
    results[at] = { ...first, plans: [joined(first.plans[0], more), ...first.plans.slice(1)] }
  }
  return results
}

function before(a: PlanRequest, b: PlanRequest): number {
  return (b.priority ?? 0) - (a.priority ?? 0) || b.model.shape.weightBytes - a.model.shape.weightBytes
}

/** Instances on idle devices, like the first: for the same context, and nothing of them in host memory. */
function replicasOf(
  { model, wishes }: PlanRequest,
  { inventory, used }: Left,
  costs: CostsOf,
  first: Plan,
): Plan | undefined {
  const [lead] = first.instances
  const { strategy, replicas } = wishes
  const open =
    replicas === undefined && (strategy === undefined || strategy === 'data' || strategy === 'hybrid')
  if (!open || !lead || !onDevicesOnly(first)) return undefined
  const idle = { ...inventory, devices: inventory.devices.filter(({ id }) => !used.has(id)) }
  const same: PlanWishes = {
    ...wishes,
    contextLength: lead.contextLength,
    acrossNodes: false,
    cpuOffload: false,
    expertOffload: false,
    ...(lead.parts.length === 1 && { strategy: 'data' as const }),
  }
  const result = planModel(model, idle, same, costs)
  return result.ok ? result.plans[0] : undefined
}

function onDevicesOnly({ instances }: Plan): boolean {
  return instances.every(({ parts }) =>
    parts.every(({ kind, hostExperts }) => kind === 'gpu' && hostExperts.length === 0),
  )
}

/** An inventory without what a plan takes of it. */
function take({ inventory, used }: Left, { instances }: Plan): Left {
  const devices = new Map<string, number>()
  const hosts = new Map<string, number>()
  const add = (to: Map<string, number>, id: string, bytes: number) => to.set(id, (to.get(id) ?? 0) + bytes)
  const shared = new Set(inventory.devices.filter(({ unifiedMemory }) => unifiedMemory).map(({ id }) => id))
  for (const { node, host, parts } of instances) {
    add(hosts, node, host.totalBytes)
    for (const { deviceId, node: at, kind, memory } of parts) {
      if (kind === 'gpu') add(devices, deviceId, memory.totalBytes)
      if (kind === 'cpu' || shared.has(deviceId)) add(hosts, at, memory.totalBytes)
    }
  }
  const rest = (bytes: number, taken: number | undefined) => Math.max(0, bytes - (taken ?? 0))
  return {
    used: new Set([...used, ...devices.keys()]),
    inventory: {
      ...inventory,
      nodes: inventory.nodes.map((node) => ({
        ...node,
        usableBytes: rest(node.usableBytes, hosts.get(node.id)),
      })),
      devices: inventory.devices.map((device) => {
        const taken = devices.get(device.id)
        if (taken === undefined) return device
        const rate = used.has(device.id) ? 1 : sharedRate
        return {
          ...device,
          usableBytes: rest(device.usableBytes, taken),
          memoryBytesPerS: device.memoryBytesPerS * rate,
          flopsPerS: device.flopsPerS * rate,
        }
      }),
    },
  }
}

function joined(a: Plan, b: Plan): Plan {
  const instances = [...a.instances, ...b.instances]
  const divided = instances.some(({ parts }) => parts.length > 1)
  const throughputTokensPerS = a.speed.throughputTokensPerS + b.speed.throughputTokensPerS
  const { watts: ofA } = a.speed
  const { watts: ofB } = b.speed
  const { watts: _, ...speed } = a.speed
  return {
    ...a,
    strategy: divided ? 'hybrid' : 'data',
    instances,
    speed: {
      ...speed,
      throughputTokensPerS,
      ...(ofA !== undefined && ofB !== undefined && { watts: ofA + ofB }),
    },
    reasons: [
      ...a.reasons,
      `${instances.length} instances serve it: the others are on devices that no model of these needs.`,
    ],
  }
}
