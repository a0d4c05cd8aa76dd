import type { Device, Topology } from '../../contract.ts'
import { type BridgeGroup, bridgeGroups, componentsOf } from '../groups.ts'
import { drawnDevices } from '../labels.ts'
import { devicesByNode } from '../nodes.ts'

/** A rectangle in pixels. */
export interface Box {
  x: number
  y: number
  width: number
  height: number
}

export interface Placed {
  device: Device
  box: Box
}

/** A PCIe switch with the cards below it. */
export interface Switch {
  box: Box
  members: Device[]
}

/** A NUMA node: CPUs (or the host bridge alone) above, cards below, PCIe switches between. */
export interface NodePlan {
  title: string
  box: Box
  cpus: Placed[]
  host: Box
  switches: Switch[]
  cards: Placed[]
}

/** A bar that stands for a bridge joining all its members alike. */
export interface Fabric {
  group: BridgeGroup
  box: Box
}

export interface Plan {
  nodes: NodePlan[]
  cards: ReadonlyMap<string, Placed>
  fabrics: Fabric[]
  /** Where the line between NUMA nodes runs; absent with one node. */
  betweenNodesY?: number
  /** The lower edge of the NUMA nodes, and of the fabrics below them. */
  nodesBottom: number
  fabricsBottom: number
  width: number
}

const margin = 24
const padding = 16
const gap = 14
const cpuHeight = 46
const cardTop = 34 + cpuHeight
const wireHeight = 54
const switchHeight = 24
/** From so many members on, a group that is joined alike is drawn as a bar and not as single links. */
const fabricMembers = 4

/** Where everything stands. Width grows with the number of devices. */
export function planOf(topology: Topology, top: number): Plan {
  const drawn = drawnDevices(topology)
  const cardCount = drawn.filter((device) => device.kind !== 'cpu').length
  const cardWidth = cardCount > 8 ? 150 : 168
  const cardHeight = drawn.length === topology.devices.length ? 96 : 114
  const switches = componentsOf(topology, 'pix')
  const byNode = devicesByNode(drawn)
  const betweenNodes = byNode.length > 1
  const y = top + (betweenNodes ? 36 : 0)
  const nodes: NodePlan[] = []
  let x = margin
  for (const { node, devices } of byNode) {
    const title = node === undefined ? 'NUMA node not told' : `NUMA node ${node}`
    const plan = planNode(title, devices, { x, y }, { width: cardWidth, height: cardHeight }, switches)
    nodes.push(plan)
    x += plan.box.width + 20
  }
  const height = Math.max(0, ...nodes.map((plan) => plan.box.height))
  for (const plan of nodes) plan.box.height = height
  const cards = new Map(nodes.flatMap((plan) => plan.cards).map((placed) => [placed.device.id, placed]))
  const nodesBottom = y + height
  const fabrics = planFabrics(topology, cards, nodesBottom + 26)
  return {
    nodes,
    cards,
    fabrics,
    ...(betweenNodes && { betweenNodesY: top + 12 }),
    nodesBottom,
    fabricsBottom: Math.max(nodesBottom, ...fabrics.map(({ box }) => box.y + box.height)),
    width: x - 20 + margin,
  }
}

function planNode(
  title: string,
  devices: readonly Device[],
  { x, y }: { x: number; y: number },
  card: { width: number; height: number },
  switches: readonly Device[][],
): NodePlan {
  const cpus = devices.filter((device) => device.kind === 'cpu')
  const ofNode = switches
    .map((members) => members.filter((device) => devices.includes(device)))
    .filter((members) => members.length > 1)
  const cards = orderedCards(devices, ofNode)
  const inner = Math.max(rowWidth(cards.length, card.width), rowWidth(cpus.length, 200), 250)
  const cardsY = y + cardTop + wireHeight + (ofNode.length > 0 ? switchHeight + 26 : 0)
  const indent = (inner - rowWidth(cards.length, card.width)) / 2
  const placed = cards.map((device, at) => ({
    device,
    box: { ...card, x: x + padding + indent + at * (card.width + gap), y: cardsY },
  }))
  const host = { x: x + padding, y: y + 34, width: inner, height: cpuHeight }
  const bottom = cards.length === 0 ? y + cardTop : cardsY + card.height
  return {
    title,
    box: { x, y, width: inner + 2 * padding, height: bottom + padding - y },
    cpus: sideBySide(cpus, host),
    host,
    switches: ofNode.map((members) => switchOver(members, placed, cardsY - 26 - switchHeight)),
    cards: placed,
  }
}

function rowWidth(count: number, width: number): number {
  return Math.max(0, count * (width + gap) - gap)
}

/** Cards of one switch stand side by side. */
function orderedCards(devices: readonly Device[], switches: readonly Device[][]): Device[] {
  const cards = devices.filter((device) => device.kind !== 'cpu')
  const firstOf = (device: Device) => switches.find((members) => members.includes(device))?.[0] ?? device
  return cards.toSorted((a, b) => cards.indexOf(firstOf(a)) - cards.indexOf(firstOf(b)))
}

function sideBySide(devices: readonly Device[], host: Box): Placed[] {
  const width = (host.width + gap) / devices.length - gap
  return devices.map((device, at) => ({ device, box: { ...host, x: host.x + at * (width + gap), width } }))
}

function switchOver(members: Device[], placed: readonly Placed[], y: number): Switch {
  const boxes = placed.filter(({ device }) => members.includes(device)).map(({ box }) => box)
  const left = Math.min(...boxes.map((box) => box.x)) + 16
  const right = Math.max(...boxes.map((box) => box.x + box.width)) - 16
  return { members, box: { x: left, y, width: right - left, height: switchHeight } }
}

/** Bars below each other where they would overlap, else side by side. */
function planFabrics(topology: Topology, cards: ReadonlyMap<string, Placed>, y: number): Fabric[] {
  const fabrics: Fabric[] = []
  for (const group of bridgeGroups(topology)) {
    if (!group.uniform || group.members.length < fabricMembers) continue
    const centres = group.members.flatMap((device) => cards.get(device.id)?.box ?? []).map(centreOf)
    const [left, right] = [Math.min(...centres) - 30, Math.max(...centres) + 30]
    const overlapping = fabrics.filter(({ box }) => box.x < right && left < box.x + box.width)
    const level = Math.max(y, ...overlapping.map(({ box }) => box.y + box.height + 14))
    fabrics.push({ group, box: { x: left, y: level, width: right - left, height: 28 } })
  }
  return fabrics
}

/** The horizontal middle of a box. */
export function centreOf(box: Box): number {
  return box.x + box.width / 2
}
