import type { Device, DeviceReading } from '../contract.ts'

type Keyed = Pick<Device, 'vendor' | 'kind' | 'uuid' | 'pciAddress' | 'index'>

/**
 * Finds the device that a reading speaks of: by UUID, else by PCI address, else by the vendor's number. A nearer key
 * that both have and that differs rules a device out: numbers move when a card is gone, and a slot may hold another
 * card than before.
 */
export function matcherOf<D extends Keyed>(devices: readonly D[]): (reading: DeviceReading) => D | undefined {
  const byUuid = new Map<string, D>()
  const byAddress = new Map<string, D>()
  const byIndex = new Map<string, D>()
  // Partitions share address and number with their card, which is what a reading without a UUID means.
  for (const device of [...devices.filter(isPartition), ...devices.filter((one) => !isPartition(one))]) {
    if (device.uuid !== undefined) byUuid.set(`${device.vendor} ${device.uuid.toLowerCase()}`, device)
    if (device.pciAddress !== undefined) byAddress.set(device.pciAddress, device)
    if (device.index !== undefined) byIndex.set(`${device.vendor} ${device.index}`, device)
  }
  return (reading) => {
    const { vendor, uuid, pciAddress, index } = reading
    const same = uuid === undefined ? undefined : byUuid.get(`${vendor} ${uuid.toLowerCase()}`)
    if (same) return same
    const there = pciAddress === undefined ? undefined : byAddress.get(pciAddress)
    if (there && fits(reading, there)) return there
    const numbered = index === undefined ? undefined : byIndex.get(`${vendor} ${index}`)
    return numbered && fits(reading, numbered) ? numbered : undefined
  }
}

function isPartition({ kind }: Keyed): boolean {
  return kind === 'partition'
}

/** Whether nothing that both tell says that they are two. */
function fits(reading: DeviceReading, device: Keyed): boolean {
  return (
    reading.vendor === device.vendor &&
    !otherUuid(reading.uuid, device.uuid) &&
    !differ(reading.pciAddress, device.pciAddress) &&
    (reading.kind === undefined || (reading.kind === 'partition') === isPartition(device))
  )
}

function differ(a: string | undefined, b: string | undefined): boolean {
  return a !== undefined && b !== undefined && a.toLowerCase() !== b.toLowerCase()
}

/** Two tools of one vendor may name a card in two forms (`0x…` and a UUID), which say nothing against each other. */
function otherUuid(a: string | undefined, b: string | undefined): boolean {
  return differ(a, b) && a?.length === b?.length
}
