import type { Inventory, Plan, PlanPart } from '../contract.ts'

/** A device that serves a model already counts so much of its rates for the next: they take turns, and both have to wait. */
const sharedRate = 0.25

/**
 * An inventory without the memory that plans take of it. `slowed`: devices that they compute on count as slower, so that
 * whoever comes next takes idle ones as long as there are any.
 */
export function leftBy(plans: readonly Plan[], inventory: Inventory, slowed: boolean): Inventory {
  const devices = new Map<string, number>()
  const hosts = new Map<string, number>()
  const add = (to: Map<string, number>, id: string, bytes: number) => to.set(id, (to.get(id) ?? 0) + bytes)
  const shared = new Set(inventory.devices.filter(({ unifiedMemory }) => unifiedMemory).map(({ id }) => id))
  for (const { node, host, parts } of plans.flatMap(({ instances }) => instances)) {
    add(hosts, node, host.totalBytes)
    for (const { deviceId, node: at, kind, memory } of parts) {
      if (kind === 'gpu') add(devices, deviceId, memory.totalBytes)
      if (kind === 'cpu' || shared.has(deviceId)) add(hosts, at, memory.totalBytes)
    }
  }
  const rest = (bytes: number, taken: number | undefined) => Math.max(0, bytes - (taken ?? 0))
  const rate = slowed ? sharedRate : 1
  return {
    ...inventory,
    nodes: inventory.nodes.map((node) => ({
      ...node,
      usableBytes: rest(node.usableBytes, hosts.get(node.id)),
    })),
    devices: inventory.devices.map((device) => {
      const taken = devices.get(device.id)
      if (taken === undefined) return device
      return {
        ...device,
        usableBytes: rest(device.usableBytes, taken),
        memoryBytesPerS: device.memoryBytesPerS * rate,
        flopsPerS: device.flopsPerS * rate,
      }
    }),
  }
}

/** GPUs that plans have parts on. */
export function devicesOfPlans(plans: readonly Plan[]): Set<string> {
  return new Set(partsOf(plans).flatMap(({ kind, deviceId }) => (kind === 'gpu' ? [deviceId] : [])))
}

/** What plans compute on: GPUs, and by their nodes' names CPUs, also where these only read experts for a GPU. */
export function computesOn(plan: Plan): Set<string> {
  return new Set(
    plan.instances.flatMap(({ node, parts }) =>
      parts.flatMap(({ deviceId, hostExperts }) => (hostExperts.length > 0 ? [deviceId, node] : [deviceId])),
    ),
  )
}

function partsOf(plans: readonly Plan[]): PlanPart[] {
  return plans.flatMap(({ instances }) => instances.flatMap(({ parts }) => parts))
}
