import type { EngineName } from '../../engines/index.ts'
import {
  buildTopology,
  type Device,
  type GpuSpec,
  type Link,
  type LinkClass,
  type Vendor,
} from '../../hardware/index.ts'
import { DroverError } from '../../inference/index.ts'
import type { Backend, Inventory, PlanDevice, PlanLink, PlanNode } from '../contract.ts'
import { linkDefaults } from '../speed/index.ts'
import {
  backendOf,
  eccBytes,
  engineNameOf,
  hostShare,
  imagineDevice,
  planDeviceOf,
  usableOf,
  usualEngines,
} from './devices.ts'
import type { Network } from './network.ts'

/** Host of a machine of which only the GPUs are told: a desktop's. */
const usualHost = { memoryGiB: 64, memoryGBs: 60, tflops: 1 }

const gib = 2 ** 30

/** Nobody has more in one machine, and hardly anybody in all; a misspelt number is refused before it fills the memory. */
const mostInNode = 32
const mostDevices = 1024

/** Alike cards that stand in one machine. */
export interface ImaginedCards {
  /** Absent: a card that no table has, with figures of its own. */
  spec?: GpuSpec
  name: string
  count: number
  memoryBytes: number
  /** Joined by the vendor's bridge; absent: where such cards always are. */
  bridged?: boolean | undefined
  vendor?: Vendor | undefined
  backend?: Backend | undefined
  memoryGBs?: number | undefined
  tflops?: number | undefined
  watts?: number | undefined
  numaNode?: number | undefined
  reserveBytes?: number | undefined
  labels?: Readonly<Record<string, string>> | undefined
}

/** A machine that nobody has to have. */
export interface ImaginedNode {
  id: string
  memoryGiB?: number | undefined
  memoryGBs?: number | undefined
  tflops?: number | undefined
  engines?: readonly EngineName[] | undefined
  rpc?: boolean | undefined
  numaNodes?: number | undefined
  cards: readonly ImaginedCards[]
}

interface Joined {
  nodeDevices: PlanDevice[]
  links: PlanLink[]
}

/** An inventory of such machines, each joined with each by `network` where that is told. */
export function imagineInventory(nodes: readonly ImaginedNode[], network?: Network): Inventory {
  const counts = nodes.map(({ cards }) => cards.reduce((all, { count }) => all + count, 0))
  const largest = Math.max(...counts)
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (largest > mostInNode || total > mostDevices) {
    const many = largest > mostInNode ? `${largest} devices in one machine` : `${total} devices`
    throw new DroverError(
      'invalid_request',
      `${many} cannot be planned for: at most ${mostInNode} in each, and ${mostDevices} in all`,
    )
  }
  const joined = nodes.map((node) => joinedDevices(node, nodes.length > 1 ? `${node.id}/` : ''))
  return {
    nodes: nodes.map((node, at) => nodeOf(node, joined[at]?.nodeDevices ?? [])),
    devices: joined.flatMap(({ nodeDevices }) => nodeDevices),
    links: [
      ...joined.flatMap(({ links }) => links),
      ...(network
        ? nodes.flatMap((a, at) => nodes.slice(at + 1).map((b) => lanLink(a.id, b.id, network)))
        : []),
    ],
  }
}

export function lanLink(a: string, b: string, { bytesPerS, latencyS }: Network): PlanLink {
  return { a, b, class: 'lan', bytesPerS, latencyS }
}

function nodeOf(node: ImaginedNode, devices: readonly PlanDevice[]): PlanNode {
  const shared = Math.max(
    0,
    ...devices.filter(({ unifiedMemory }) => unifiedMemory).map(({ totalBytes }) => totalBytes),
  )
  const memoryBytes =
    node.memoryGiB !== undefined ? node.memoryGiB * gib : shared || usualHost.memoryGiB * gib
  const sharedRate = devices.find(({ unifiedMemory }) => unifiedMemory)?.memoryBytesPerS
  return {
    id: node.id,
    usableBytes: Math.floor(memoryBytes * hostShare),
    memoryBytesPerS:
      node.memoryGBs !== undefined ? node.memoryGBs * 1e9 : (sharedRate ?? usualHost.memoryGBs * 1e9),
    flopsPerS: (node.tflops ?? usualHost.tflops) * 1e12,
    engines: node.engines ?? usualEngines(devices),
    rpc: node.rpc ?? true,
    ...(node.numaNodes !== undefined && { numaNodes: node.numaNodes }),
  }
}

function joinedDevices(node: ImaginedNode, prefix: string): Joined {
  const groups = node.cards.map((cards) => ({ cards, devices: [] as Device[] }))
  const total = node.cards.reduce((sum, { count }) => sum + count, 0)
  let position = 0
  for (const { cards, devices } of groups) {
    for (let i = 0; i < cards.count; i++) {
      devices.push(deviceOf(cards, `${prefix}gpu${numbered(position++, total)}`))
    }
  }
  const numbers = new Map<Backend, number>()
  const nodeDevices = groups.flatMap(({ cards, devices }) =>
    devices.map((device): PlanDevice => {
      const backend = cards.backend ?? backendOf(device.vendor)
      const number = numbers.get(backend) ?? 0
      numbers.set(backend, number + 1)
      return planned(device, cards, node.id, engineNameOf(backend, number))
    }),
  )
  const links = linksOf(groups)
  return { nodeDevices, links }
}

/** `3`, of ten or more `03`: so that the order of the names is that of the numbers. */
export function numbered(number: number, count: number, first = 0): string {
  return String(number).padStart(String(count - 1 + first).length, '0')
}

function planned(device: Device, cards: ImaginedCards, node: string, engineName: string): PlanDevice {
  const { spec, memoryGBs, tflops, reserveBytes = 0, watts, labels } = cards
  const keptBytes = reserveBytes + (spec ? eccBytes(spec, cards.memoryBytes) : 0)
  const usableBytes = Math.max(0, Math.floor(usableOf(device) - keptBytes))
  const known = planDeviceOf(device, { id: device.id, node, usableBytes, engineName, watts, labels })
  return {
    ...known,
    ...(memoryGBs !== undefined && { memoryBytesPerS: memoryGBs * 1e9 }),
    ...(tflops !== undefined && { flopsPerS: tflops * 1e12 }),
  }
}

function deviceOf(cards: ImaginedCards, id: string): Device {
  const { spec, name, memoryBytes, vendor = 'other', numaNode } = cards
  const device: Device = spec
    ? imagineDevice(spec, id, memoryBytes)
    : {
        id,
        vendor,
        kind: 'discrete',
        name,
        state: 'ok',
        sources: ['inventory'],
        memoryTotalBytes: memoryBytes,
        unifiedMemory: vendor === 'apple',
        facts: { tflops: {}, supports: {} },
      }
  return numaNode === undefined ? device : { ...device, numaNode }
}

/** Bridges as they are sold: modules are all joined, cards two by two; the rest goes through the host. */
function linksOf(groups: readonly { cards: ImaginedCards; devices: readonly Device[] }[]): PlanLink[] {
  const bridges = groups.flatMap(({ cards, devices }) => bridgesOf(cards, devices))
  const all = groups.flatMap(({ devices }) => devices)
  const bridged = new Set(bridges.map(({ a, b }) => `${a} ${b}`))
  const through = pairsOf(all).filter(([a, b]) => !bridged.has(`${a.id} ${b.id}`))
  const hosted = through.map(([a, b]): Link => {
    const apart = a.numaNode !== undefined && b.numaNode !== undefined && a.numaNode !== b.numaNode
    return { a: a.id, b: b.id, class: apart ? 'sys' : 'phb', label: apart ? 'SYS' : 'PHB' }
  })
  return buildTopology(all, [...bridges, ...hosted]).links.flatMap(planLinkOf)
}

/** A link as plans know it; one of unknown rate is left to the planner, which takes it by its class. */
export function planLinkOf(link: Link): PlanLink[] {
  if (link.gbPerSecond === undefined) return []
  const { a, b, peerAccess } = link
  const { latencyS } = linkDefaults[link.class]
  return [
    {
      a,
      b,
      class: link.class,
      bytesPerS: link.gbPerSecond.value * 1e9,
      latencyS,
      ...(peerAccess !== undefined && { peerAccess }),
    },
  ]
}

/** Modules come on a board that joins them all. */
const isModule = ({ card, vendor }: GpuSpec) => vendor !== 'nvidia' || /SXM|^GB\d|^GH/.test(card)

function bridgesOf({ spec, bridged }: ImaginedCards, devices: readonly Device[]): Link[] {
  const bridge = spec?.bridge
  if (!spec || !bridge || spec.vendor === 'apple') return []
  const module = isModule(spec)
  if (!(bridged ?? (module && spec.vendor !== 'intel'))) return []
  const pairs = module
    ? pairsOf(devices)
    : pairsOf(devices).filter(
        ([a, b]) => Math.trunc(devices.indexOf(a) / 2) === Math.trunc(devices.indexOf(b) / 2),
      )
  const linkClass = bridgeClasses[bridge.name] ?? 'nvlink'
  // A switch gives each pair the whole bridge; without one it is parted among the neighbours.
  const switched = linkClass === 'nvlink' && Number(spec.computeCapability) >= firstSwitched
  const rate = (bridge.gbPerSecond ?? 0) / 2
  return pairs.map(([a, b]) => ({
    a: a.id,
    b: b.id,
    class: linkClass,
    label: linkClass.toUpperCase(),
    ...(module && switched && rate > 0 && { gbPerSecond: { value: rate, from: 'table' as const } }),
    peerAccess: true,
  }))
}

/** From Ampere on boards of modules have NVSwitch. */
const firstSwitched = 8

const bridgeClasses: Readonly<Record<string, LinkClass>> = {
  NVLink: 'nvlink',
  xGMI: 'xgmi',
  'Xe Link': 'xelink',
}

function pairsOf(devices: readonly Device[]): [Device, Device][] {
  return devices.flatMap((a, at) => devices.slice(at + 1).map((b): [Device, Device] => [a, b]))
}
