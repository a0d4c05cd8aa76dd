import type { DeviceReading, HostSystem } from '../contract.ts'
import { present } from '../units.ts'

/**
 * Cards followed by their tiles, where Level Zero shows the tiles as devices: always, unless
 * `ZE_FLAT_DEVICE_HIERARCHY` is `COMPOSITE` (Level Zero specification, environment variables; `FLAT` is the default
 * since 2023). A tile has an even share of the memory, and the number that it has among all devices then.
 *
 * @param tiles the number of tiles of each card, by its PCI address
 */
export function withTiles(
  cards: readonly DeviceReading[],
  tiles: ReadonlyMap<string, number>,
  env: HostSystem['env'],
): DeviceReading[] {
  if (/^composite$/i.test(env['ZE_FLAT_DEVICE_HIERARCHY']?.trim() ?? '')) return [...cards]
  const countOf = ({ pciAddress }: DeviceReading) => tiles.get(pciAddress ?? '') ?? 1
  const firstIndex = new Map<DeviceReading, number>()
  let next = 0
  for (const card of cards.toSorted((a, b) => (a.index ?? 0) - (b.index ?? 0))) {
    firstIndex.set(card, next)
    next += countOf(card)
  }
  const isCut = cards.some((card) => countOf(card) > 1)
  return cards.flatMap((card) => {
    const count = countOf(card)
    const first = firstIndex.get(card) ?? 0
    if (count > 1) return [{ ...card, partitioned: true }, ...tilesOf(card, count, first)]
    return [isCut ? { ...card, index: first } : card]
  })
}

function tilesOf(card: DeviceReading, count: number, first: number): DeviceReading[] {
  const { vendor, source, pciAddress, uuid, index, name, pciDeviceId, driverVersion, numaNode, state } = card
  const share = (value: number | undefined) => (value === undefined ? undefined : Math.floor(value / count))
  return Array.from({ length: count }, (_, tile) =>
    present({
      vendor,
      source,
      index: first + tile,
      pciAddress,
      pciDeviceId,
      name,
      kind: 'partition' as const,
      parent: present({ uuid, pciAddress, index }),
      partitionProfile: `tile ${tile}`,
      memoryTotalBytes: share(card.memoryTotalBytes),
      memoryFreeBytes: share(card.memoryFreeBytes),
      computeUnits: share(card.computeUnits),
      driverVersion,
      numaNode,
      state,
      stateReason: card.stateReason,
    }),
  )
}
