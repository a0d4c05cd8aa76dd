import type { Device, Fact, Link, Topology } from '../contract.ts'

/**
 * Short labels by device id, in the order of the devices: `GPU0`, `GPU1`, `CPU0`; of partitions `GPU0.0`, `GPU0.1`.
 */
export function shortLabels(devices: readonly Device[]): ReadonlyMap<string, string> {
  const labels = new Map<string, string>()
  const next = new Map<string, number>()
  const number = (prefix: string) => {
    const count = next.get(prefix) ?? 0
    next.set(prefix, count + 1)
    return `${prefix}${count}`
  }
  for (const device of devices.filter((each) => !isPart(each, devices))) {
    labels.set(device.id, number(device.kind === 'cpu' ? 'CPU' : 'GPU'))
  }
  for (const device of devices.filter((each) => isPart(each, devices))) {
    labels.set(device.id, number(`${labels.get(device.parentId ?? '') ?? 'GPU'}.`))
  }
  return labels
}

/** Devices with a row of their own in a drawing: partitions stand under their card. */
export function drawnDevices({ devices }: Topology): Device[] {
  return devices.filter((device) => !isPart(device, devices))
}

/** The links between drawn devices. */
export function drawnLinks(topology: Topology): Link[] {
  const ids = new Set(drawnDevices(topology).map((device) => device.id))
  return topology.links.filter((link) => ids.has(link.a) && ids.has(link.b))
}

/** The partitions of a card. */
export function partsOf(card: Device, { devices }: Topology): Device[] {
  return devices.filter((device) => device.parentId === card.id)
}

function isPart(device: Device, devices: readonly Device[]): boolean {
  return device.parentId !== undefined && devices.some((card) => card.id === device.parentId)
}

/** Looks links up by their two ends, in either order. */
export function linkFinder({ links }: Topology): (a: Device, b: Device) => Link | undefined {
  const byEnds = new Map<string, Link>()
  for (const link of links) {
    byEnds.set(JSON.stringify([link.a, link.b]), link)
    byEnds.set(JSON.stringify([link.b, link.a]), link)
  }
  return (a, b) => byEnds.get(JSON.stringify([a.id, b.id]))
}

/** `80 GiB`, `1.5 GiB`. */
export function memoryText(bytes: number): string {
  const gib = bytes / 1024 ** 3
  return `${gib >= 10 ? Math.round(gib) : Number(gib.toFixed(1))} GiB`
}

/** Three digits at most: `300`, `25`, `5.5`; a star marks a rate that was told or measured, not estimated. */
export function rateText({ value, from }: Fact): string {
  const digits = value >= 10 ? Math.round(value).toString() : Number(value.toFixed(1)).toString()
  return from === 'tool' || from === 'measured' ? `${digits}*` : digits
}
