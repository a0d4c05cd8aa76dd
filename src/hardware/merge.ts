/**
 * From what the tools said to devices: readings of one physical card become one device. Two readings are of one card
 * when they agree in UUID or PCI address; one that has neither (Vulkan on some drivers) is the n-th card of its PCI id.
 * A field is taken from the first reading that has it, in the order in which the probes stand.
 */

import { parseCpuList } from '../core/index.ts'
import type {
  Device,
  DeviceFacts,
  DeviceReading,
  Link,
  LinkReading,
  PlaceReading,
  ProbeResult,
} from './contract.ts'
import { present } from './units.ts'
import { hiddenBy } from './visibility.ts'

export interface MergeOptions {
  env: Readonly<Record<string, string | undefined>>
  /** What the specification table knows of a card. */
  factsOf(reading: DeviceReading): DeviceFacts
  /** Ids that cards had before, by PCI address: a card that is lost may no longer tell its UUID. */
  knownIds: ReadonlyMap<string, string>
}

/** Readings of one card, in order. */
interface Group {
  readings: DeviceReading[]
  probes: Set<ProbeResult>
}

export function mergeReadings(
  results: readonly ProbeResult[],
  options: MergeOptions,
): { devices: Device[]; links: Link[] } {
  const groups: Group[] = []
  for (const result of results) for (const reading of result.devices) addReading(groups, result, reading)
  const devices = groups.map((group) => deviceOf(group, options))
  for (const device of devices) nameParent(device, groups[devices.indexOf(device)], groups, devices)
  hide(devices, options.env)
  const locate = locator(groups, devices)
  for (const result of results) {
    for (const place of result.places) applyPlace(locate(result, place), place)
  }
  return { devices: devices.toSorted(byVendorAndAddress), links: linksOf(results, locate) }
}

function addReading(groups: Group[], probe: ProbeResult, reading: DeviceReading): void {
  const group = groups.find(({ readings }) => readings.some((other) => sameCard(other, reading)))
  const found = group ?? sameModel(groups, probe, reading)
  if (found) {
    found.readings.push(reading)
    found.probes.add(probe)
  } else {
    groups.push({ readings: [reading], probes: new Set([probe]) })
  }
}

function sameCard(a: DeviceReading, b: DeviceReading): boolean {
  if (a.uuid !== undefined && b.uuid !== undefined && plainUuid(a.uuid) === plainUuid(b.uuid)) return true
  if (a.kind === 'partition' || b.kind === 'partition') return false
  if (a.pciAddress !== undefined && b.pciAddress !== undefined) return a.pciAddress === b.pciAddress
  // Looks of one tool at one card: its list, and its sensors.
  return a.vendor === b.vendor && a.source === b.source && a.index !== undefined && a.index === b.index
}

/** `GPU-5c0b…` and `5c0b…` are the same number. */
function plainUuid(uuid: string): string {
  return uuid.toLowerCase().replace(/^(gpu-|0x)/, '')
}

/** For a reading without an address: the first card of its PCI id that its probe has not told of yet. */
function sameModel(groups: Group[], probe: ProbeResult, reading: DeviceReading): Group | undefined {
  if (reading.pciAddress !== undefined || reading.pciDeviceId === undefined) return undefined
  return groups.find(
    ({ readings, probes }) =>
      !probes.has(probe) &&
      readings.some(
        (other) =>
          other.vendor === reading.vendor &&
          other.pciDeviceId === reading.pciDeviceId &&
          other.kind !== 'partition',
      ),
  )
}

function deviceOf({ readings }: Group, { factsOf, knownIds }: MergeOptions): Device {
  const merged = Object.assign({}, ...readings.toReversed()) as DeviceReading
  const sensors = Object.assign({}, ...readings.toReversed().map((reading) => reading.sensors ?? {}))
  const stated = readings.find(({ state }) => state !== undefined)
  const facts = factsOf(merged)
  const { vendor, memoryTotalBytes = 0 } = merged
  const kind = readings.find((reading) => reading.kind !== undefined)?.kind ?? 'discrete'
  const { uuid, pciAddress, index, numaNode } = merged
  return present({
    id: idOf(merged, kind === 'partition', knownIds),
    vendor,
    kind,
    name: merged.name ?? facts.tableEntry ?? `${vendor} ${merged.pciDeviceId ?? 'GPU'}`,
    state: stated?.state ?? 'ok',
    stateReason: stated?.stateReason,
    sources: [...new Set(readings.map(({ source }) => source))],
    index,
    uuid,
    pciAddress,
    pciDeviceId: merged.pciDeviceId,
    partitionProfile: merged.partitionProfile,
    partitioned: merged.partitioned,
    memoryTotalBytes,
    memoryFreeBytes: merged.memoryFreeBytes,
    unifiedMemory: kind === 'integrated' || vendor === 'apple',
    driverVersion: merged.driverVersion,
    runtime: merged.runtime,
    architecture: merged.architecture,
    computeCapability: merged.computeCapability,
    gfx: merged.gfx,
    computeUnits: merged.computeUnits,
    // The kernel's -1 means that the machine has no nodes to speak of.
    numaNode: numaNode === undefined || numaNode < 0 ? undefined : numaNode,
    pcie: merged.pcie,
    persistence: merged.persistence,
    facts,
    sensors: Object.keys(sensors).length > 0 ? sensors : undefined,
  }) as Device
}

function idOf(
  { vendor, uuid, pciAddress, index, parent, partitionProfile }: DeviceReading,
  partition: boolean,
  knownIds: ReadonlyMap<string, string>,
): string {
  if (uuid !== undefined && /^(GPU|MIG)-/.test(uuid)) return uuid
  // The part's own number, which another card's absence does not change.
  if (partition && uuid !== undefined) return `${vendor}:${uuid}`
  if (partition) {
    const card = parent?.uuid ?? parent?.pciAddress ?? parent?.index ?? pciAddress ?? ''
    return `${vendor}:${card}/${partitionProfile ?? 'part'}#${index ?? 0}`
  }
  if (pciAddress !== undefined) return knownIds.get(pciAddress) ?? `pci:${pciAddress}`
  return uuid === undefined ? `${vendor}:${index ?? 0}` : `${vendor}:${uuid}`
}

function nameParent(
  device: Device,
  group: Group | undefined,
  groups: readonly Group[],
  devices: readonly Device[],
): void {
  const parent = group?.readings.find((reading) => reading.parent)?.parent
  if (device.kind !== 'partition' || !parent) return
  const at = groups.findIndex(
    ({ readings }) =>
      readings.some((other) => other.kind !== 'partition') &&
      readings.some(
        (other) =>
          (parent.uuid !== undefined && other.uuid === parent.uuid) ||
          (parent.pciAddress !== undefined && other.pciAddress === parent.pciAddress) ||
          (parent.index !== undefined && other.index === parent.index && other.vendor === device.vendor),
      ),
  )
  const card = devices[at]
  if (!card) return
  device.parentId = card.id
  card.partitioned = true
  if (device.facts.tableEntry === undefined) device.facts = { ...device.facts, supports: card.facts.supports }
  if (device.numaNode === undefined && card.numaNode !== undefined) device.numaNode = card.numaNode
}

/** Cards that the environment hides from this process are told, and not used. */
function hide(devices: readonly Device[], env: MergeOptions['env']): void {
  for (const vendor of ['nvidia', 'amd', 'intel'] as const) {
    const cards = devices
      .filter((device) => device.vendor === vendor && device.kind !== 'partition')
      .toSorted(byVendorAndAddress)
    for (const [position, device] of cards.entries()) {
      const variable = hiddenBy(device, position, env)
      if (variable === undefined || device.state !== 'ok') continue
      const parts = devices.filter(({ parentId }) => parentId === device.id)
      for (const part of parts) hidePart(part, env)
      // A card whose partitions are shown is not named itself.
      if (parts.some(({ state }) => state === 'ok')) continue
      device.state = 'hidden'
      device.stateReason = `${variable} hides it from Drover`
    }
  }
}

function hidePart(part: Device, env: MergeOptions['env']): void {
  const variable = hiddenBy(part, Number.POSITIVE_INFINITY, env)
  if (variable === undefined) return
  part.state = 'hidden'
  part.stateReason = `${variable} hides it from Drover`
}

type Located = { index?: number; pciAddress?: string }

/** Finds the device that a probe's own number or address means. */
function locator(groups: readonly Group[], devices: readonly Device[]) {
  return (probe: ProbeResult, { index, pciAddress }: Located): Device | undefined => {
    const at = groups.findIndex(({ readings }) =>
      readings.some(
        (reading) =>
          reading.kind !== 'partition' &&
          ((pciAddress !== undefined && reading.pciAddress === pciAddress) ||
            (pciAddress === undefined &&
              index !== undefined &&
              reading.index === index &&
              probe.devices.includes(reading))),
      ),
    )
    return devices[at]
  }
}

function applyPlace(device: Device | undefined, place: PlaceReading): void {
  if (!device) return
  if (device.numaNode === undefined && place.numaNode !== undefined && place.numaNode >= 0) {
    device.numaNode = place.numaNode
  }
  const cores = place.cpuAffinity === undefined ? undefined : parseCpuList(place.cpuAffinity)
  if (cores && !device.cores) device.cores = cores
}

function linksOf(
  results: readonly ProbeResult[],
  locate: (probe: ProbeResult, at: Located) => Device | undefined,
): Link[] {
  const links = new Map<string, Link>()
  for (const result of results) {
    for (const reading of result.links) {
      const [a, b] = [locate(result, reading.a), locate(result, reading.b)]
      if (!a || !b || a === b) continue
      const key = [a.id, b.id].sort().join(' ')
      if (!links.has(key)) links.set(key, linkOf(a.id, b.id, reading))
    }
  }
  return [...links.values()]
}

function linkOf(a: string, b: string, reading: LinkReading): Link {
  const { gbPerSecond } = reading
  return present({
    a,
    b,
    class: reading.class,
    label: reading.label,
    links: reading.links,
    peerAccess: reading.peerAccess,
    gbPerSecond: gbPerSecond === undefined ? undefined : ({ value: gbPerSecond, from: 'tool' } as const),
  })
}

const vendorOrder = ['nvidia', 'amd', 'intel', 'apple', 'other', 'cpu']

function byVendorAndAddress(a: Device, b: Device): number {
  return (
    vendorOrder.indexOf(a.vendor) - vendorOrder.indexOf(b.vendor) ||
    Number(a.kind === 'partition') - Number(b.kind === 'partition') ||
    (a.pciAddress ?? '').localeCompare(b.pciAddress ?? '') ||
    (a.index ?? 0) - (b.index ?? 0) ||
    a.id.localeCompare(b.id)
  )
}
