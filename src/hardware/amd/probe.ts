import type {
  DeviceProbe,
  DeviceReading,
  HostSystem,
  LinkReading,
  PlaceReading,
  ProbeResult,
} from '../contract.ts'
import { linkClassOf, pciPath } from '../pci/index.ts'
import { present, textOf } from '../units.ts'
import { assemble, mergeLinks } from './assemble.ts'
import { cardAddressOf, isIntegrated } from './identity.ts'
import { type KfdNode, readKfdLinks, readKfdMemory, readKfdNodes } from './kfd.ts'
import { marketNameOf } from './names.ts'
import { withPermission } from './permission.ts'
import {
  findCards,
  partitionModeOf,
  placeOf,
  readCard,
  readDriverVersion,
  readSensors,
  type SysfsCard,
} from './sysfs.ts'
import { askTools, type ToolAnswers } from './tools.ts'

/** What the last full look found, so that a look at the sensors need not search for them. */
interface Known {
  cards: SysfsCard[]
  nodes: KfdNode[]
}

const known = new WeakMap<HostSystem, Known>()

/**
 * AMD's GPUs. The kernel's driver tells of them without any tool; amd-smi, or rocm-smi where that is missing, adds
 * names, limits and links. A card's `index` is its place among KFD's GPUs, by which `ROCR_VISIBLE_DEVICES` counts.
 */
export const amdProbe: DeviceProbe = {
  vendor: 'amd',
  async list(system) {
    const { cards, nodes } = look(system)
    const tools = await askTools(system, cards.length > 0 || nodes.length > 0)
    const sysfs = cards.map((card) => withName(system, card, readCard(system, card)))
    const found = assemble(sysfs, nodes, tools.devices)
    const modes = new Map(cards.map((card) => [card.pciAddress, partitionModeOf(system, card)]))
    const shared = { driverVersion: readDriverVersion(system), runtime: readRuntime(system) }
    const { devices, problems } = withPermission(
      system,
      [...found.cards.map(withKind), ...found.partitions.map((part) => withProfile(part, modes))].map(
        (device) => withShared(device, shared, found.cards),
      ),
      renderFiles(cards, nodes),
    )
    const told = addressed(tools)
    const places = [...cards.flatMap((card) => placeOf(system, card) ?? []), ...told.places]
    const links = mergeLinks([readKfdLinks(system, nodes), told.links])
    return {
      vendor: 'amd',
      devices,
      links: links.map((link) => alongBus(system, link, places)),
      places,
      problems: [...tools.problems, ...problems, ...found.strays.map(strayText)],
    } satisfies ProbeResult
  },
  async sample(system) {
    const { cards, nodes } = known.get(system) ?? look(system)
    const readings = cards.map((card) => withIndex(readSensors(system, card), nodes))
    const partitions = nodes.filter(({ partition }) => partition !== undefined)
    return [...readings, ...partitions.map((node) => readKfdMemory(system, node))]
  },
}

function look(system: HostSystem): Known {
  const found = { cards: findCards(system), nodes: readKfdNodes(system) }
  known.set(system, found)
  return found
}

function withName(system: HostSystem, card: SysfsCard, reading: DeviceReading): DeviceReading {
  const name =
    reading.name ?? marketNameOf(system, card.pciDeviceId, textOf(system.readText(`${card.folder}/revision`)))
  return name === undefined ? reading : { ...reading, name }
}

/** A part of a processor is one whichever source says so. */
function withKind(card: DeviceReading): DeviceReading {
  return { ...card, kind: card.kind === 'integrated' || isIntegrated(card) ? 'integrated' : 'discrete' }
}

function withProfile(
  part: DeviceReading,
  modes: ReadonlyMap<string | undefined, string | undefined>,
): DeviceReading {
  const partitionProfile = part.partitionProfile ?? modes.get(part.parent?.pciAddress)
  return partitionProfile === undefined ? part : { ...part, partitionProfile }
}

/** The driver is one for all cards; what a tool says of it is the same number in more words. */
function withShared(
  device: DeviceReading,
  { driverVersion, runtime }: { driverVersion: string | undefined; runtime: string | undefined },
  cards: readonly DeviceReading[],
): DeviceReading {
  const driver =
    device.driverVersion ?? cards.find((card) => card.driverVersion)?.driverVersion ?? driverVersion
  const newest = device.runtime ?? runtime
  return {
    ...device,
    ...(driver !== undefined && { driverVersion: driver }),
    ...(newest !== undefined && { runtime: newest }),
  }
}

/** `6.4.0-47` in ROCm's own folder. */
function readRuntime(system: HostSystem): string | undefined {
  const version = /^\d+(\.\d+)+/.exec(system.readText('/opt/rocm/.info/version') ?? '')?.[0]
  return version === undefined ? undefined : `ROCm ${version}`
}

/** The device file that each card and partition is opened by. */
function renderFiles(
  cards: readonly SysfsCard[],
  nodes: readonly KfdNode[],
): Map<DeviceReading['uuid'], string> {
  const files = new Map<string, string>()
  for (const { reading, renderMinor, cardAddress, partition } of nodes) {
    const file = `/dev/dri/renderD${renderMinor}`
    if (renderMinor === undefined || renderMinor <= 0) continue
    files.set((partition === undefined ? cardAddress : reading.uuid) ?? cardAddress, file)
  }
  for (const { pciAddress, renderFile } of cards) {
    if (pciAddress !== undefined && renderFile !== undefined) files.set(pciAddress, renderFile)
  }
  return files
}

/**
 * What a tool says of its number 3 may be of another card than KFD's number 3: by the addresses that the tool gives
 * elsewhere. A tool that gives none keeps its numbers.
 */
function addressed(tools: ToolAnswers): Pick<ToolAnswers, 'links' | 'places'> {
  if (tools.devices.every(({ pciAddress }) => pciAddress === undefined)) return tools
  const addressOf = ({ index, pciAddress }: LinkReading['a']): string | undefined => {
    const told = pciAddress ?? tools.devices.find((device) => device.index === index)?.pciAddress
    return told === undefined ? undefined : cardAddressOf(told)
  }
  const links = tools.links.flatMap((link) => {
    const [a, b] = [addressOf(link.a), addressOf(link.b)]
    if (a === undefined || b === undefined || a === b) return []
    return [{ ...link, a: { pciAddress: a }, b: { pciAddress: b } }]
  })
  const places = tools.places.flatMap(({ index, ...place }) => {
    const pciAddress = addressOf(present({ index, pciAddress: place.pciAddress }))
    return pciAddress === undefined ? [] : [{ ...place, pciAddress }]
  })
  return { links, places }
}

/** Tools call every way over PCIe the same: the bus itself tells switches and host bridges apart. */
function alongBus(system: HostSystem, link: LinkReading, places: readonly PlaceReading[]): LinkReading {
  const [a, b] = [link.a.pciAddress, link.b.pciAddress]
  if (link.class === 'xgmi' || link.class === 'same_board' || a === undefined || b === undefined) return link
  const numa = (address: string) => places.find(({ pciAddress }) => pciAddress === address)?.numaNode
  const seen = linkClassOf(pciPath(system, a), numa(a), pciPath(system, b), numa(b))
  return seen === 'unknown' ? link : { ...link, class: seen }
}

function withIndex(reading: DeviceReading, nodes: readonly KfdNode[]): DeviceReading {
  const node = nodes.find((one) => one.partition === undefined && one.cardAddress === reading.pciAddress)
  return node === undefined ? reading : { ...reading, index: node.index }
}

function strayText({ source, index, name, pciDeviceId }: DeviceReading): string {
  const what = name ?? pciDeviceId ?? 'a card'
  return `${source} tells of GPU ${index} (${what}) without its PCI address, and the kernel shows no such card: it is left out; restart the machine if it should be there`
}
