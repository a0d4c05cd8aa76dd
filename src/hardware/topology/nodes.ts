import type { Device } from '../contract.ts'

/**
 * The NUMA node of every device by its id: its own, else its card's, else the machine's where all that is told is of
 * one node. Absent where it is not known.
 */
export function numaNodes(devices: readonly Device[]): ReadonlyMap<string, number> {
  const own = new Map(devices.map((device) => [device.id, device.numaNode]))
  const told = new Set([...own.values()].filter((node) => node !== undefined))
  const only = told.size === 1 ? [...told][0] : undefined
  const nodes = devices.map((device) => {
    const card = device.parentId === undefined ? undefined : own.get(device.parentId)
    return [device.id, device.numaNode ?? card ?? only] as const
  })
  return new Map(nodes.filter((entry): entry is [string, number] => entry[1] !== undefined))
}

/** Devices by NUMA node, in the order of node numbers; those of no known node last. */
export function devicesByNode(devices: readonly Device[]): { node?: number; devices: Device[] }[] {
  const nodes = numaNodes(devices)
  const byNode = Map.groupBy(devices, (device) => nodes.get(device.id))
  const known = [...byNode].filter((entry): entry is [number, Device[]] => entry[0] !== undefined)
  const unknown = byNode.get(undefined)
  return [
    ...known.toSorted(([a], [b]) => a - b).map(([node, members]) => ({ node, devices: members })),
    ...(unknown ? [{ devices: unknown }] : []),
  ]
}
