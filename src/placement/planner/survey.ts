import type { Inventory, PlanDevice, PlanNode, PlanWishes } from '../contract.ts'
import { type Fabric, fabricOf, sameWire, type Wire } from '../speed/index.ts'

/** A node with those of its devices that may be taken. */
export interface NodeView {
  node: PlanNode
  /** By id. */
  devices: readonly PlanDevice[]
  /** The CPU may compute: it is not excluded by pins. */
  hostAllowed: boolean
  /** It has no devices at all: its RPC worker would be its CPU. */
  cpuOnly: boolean
  /** The same for nodes that differ in names only, so that one of them is searched for all. */
  signature: string
}

/** What there is to plan with, in an order of its own: the order of the input means nothing. */
export interface World {
  inventory: Inventory
  fabric: Fabric
  nodes: readonly NodeView[]
  /** Before anything was left out. */
  all: Inventory
  /** 1 as a rule; more for what is preferred, less for what is shunned or degraded. */
  weightOf(device: PlanDevice): number
}

/** A preferred device counts as if it were so much faster, */
const preferred = 2
/** and a shunned or degraded one as so much slower: enough that only need brings it in. */
const shunned = 1 / 16

const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

/** Leaves of an inventory what the wishes allow, sorted. */
export function survey(inventory: Inventory, wishes: PlanWishes): World {
  const { pins, avoid = [], prefer = [], shun = [], reserveBytes = 0 } = wishes
  const nodes = inventory.nodes.filter((node) => !avoid.includes(node.id)).sort(byId)
  const kept = new Set(nodes.map((node) => node.id))
  const devices = inventory.devices
    .filter((device) => kept.has(device.node))
    .filter((device) => !matches(device, avoid) && (pins === undefined || matches(device, pins)))
    .map((device) => ({ ...device, usableBytes: rounded(Math.max(0, device.usableBytes - reserveBytes)) }))
    .sort(byId)
  const allowed: Inventory = { nodes, devices, links: inventory.links }
  const fabric = fabricOf(allowed)
  const weightOf = (device: PlanDevice) =>
    (matches(device, prefer) ? preferred : 1) * (device.degraded || matches(device, shun) ? shunned : 1)
  const byNode = Map.groupBy(devices, ({ node }) => node)
  const equipped = new Set(inventory.devices.map(({ node }) => node))
  const views = nodes.map((node) => {
    const own = byNode.get(node.id) ?? []
    const pinned = pins === undefined || pins.includes(node.id) || own.length > 0
    const cpuOnly = !equipped.has(node.id)
    return viewOf({ node, devices: own, hostAllowed: pinned, cpuOnly }, fabric, weightOf)
  })
  return { inventory: allowed, fabric, nodes: views, all: inventory, weightOf }
}

/**
 * Cards alike have a few megabytes more or less free: less the rest, they are of one kind, and only one of them is
 * looked at. A five hundredth or less is given up.
 */
function rounded(bytes: number): number {
  if (bytes < 1) return 0
  const step = 2 ** Math.floor(Math.log2(bytes / 512))
  return Math.floor(bytes / step) * step
}

/** A node without some of its devices and of its memory. */
export function viewWithout(
  view: NodeView,
  used: ReadonlySet<string>,
  hostBytes: number,
  { fabric, weightOf }: World,
): NodeView {
  const node = { ...view.node, usableBytes: Math.max(0, view.node.usableBytes - hostBytes) }
  const devices = view.devices.filter((device) => !used.has(device.id))
  return viewOf({ ...place(view), node, devices }, fabric, weightOf)
}

type Place = Omit<NodeView, 'signature'>

/** Without the signature, which is worked out when it is asked for. */
function place({ node, devices, hostAllowed, cpuOnly }: NodeView): Place {
  return { node, devices, hostAllowed, cpuOnly }
}

function viewOf(own: Place, fabric: Fabric, weightOf: (device: PlanDevice) => number): NodeView {
  let signature: string | undefined
  return {
    ...own,
    get signature() {
      signature ??= signatureOf(own, fabric, weightOf)
      return signature
    },
  }
}

function signatureOf(
  { node, devices, hostAllowed, cpuOnly }: Place,
  fabric: Fabric,
  weightOf: (device: PlanDevice) => number,
): string {
  const own = devices.map((device) => `${classOf(device)} ${device.numaNode ?? ''} ${weightOf(device)}`)
  const links = devices.map((a, at) => (fabric.untold(a) ? '' : linksFrom(a, devices, at + 1, fabric)))
  const { usableBytes, memoryBytesPerS, flopsPerS, engines, rpc } = node
  const host = [usableBytes, memoryBytesPerS, flopsPerS, engines.join('+'), rpc, hostAllowed, cpuOnly].join(
    ' ',
  )
  return [host, ...own, ...links].join('|')
}

/** Ways to the devices from `first` on: alike ones that follow each other as one, with their number. */
function linksFrom(a: PlanDevice, devices: readonly PlanDevice[], first: number, fabric: Fabric): string {
  let text = ''
  let last: Wire | undefined
  let count = 0
  for (let at = first; at < devices.length; at++) {
    const b = devices[at]
    if (!b) continue
    const wire = fabric.between(a, b)
    if (last && (wire === last || sameWire(wire, last))) count++
    else {
      if (last) text += `${count}x${wireText(last)} `
      count = 1
    }
    last = wire
  }
  return last ? `${text}${count}x${wireText(last)}` : text
}

export function wireText(wire: Wire): string {
  return `${wire.class}${wire.bytesPerS}/${wire.latencyS}${wire.peerAccess}`
}

const classes = new WeakMap<PlanDevice, string>()

/** The same for devices that serve alike. */
export function classOf(device: PlanDevice): string {
  let name = classes.get(device)
  if (name === undefined) {
    name = `${kindOf(device)} ${device.usableBytes}`
    classes.set(device, name)
  }
  return name
}

const kinds = new WeakMap<PlanDevice, string>()

/** The same for devices that serve alike but for the memory that is free. */
export function kindOf(device: PlanDevice): string {
  let name = kinds.get(device)
  if (name === undefined) {
    name = kindText(device)
    kinds.set(device, name)
  }
  return name
}

function kindText(device: PlanDevice): string {
  return [
    device.name,
    device.vendor,
    device.backend,
    device.totalBytes,
    device.memoryBytesPerS,
    device.flopsPerS,
    device.measured ?? false,
    device.unifiedMemory ?? false,
    device.computeCapability ?? '',
    device.watts ?? '',
    device.degraded ?? false,
  ].join(' ')
}

/** Those of the names that no device and no node has. */
export function unknownNames({ devices, nodes }: Inventory, names: readonly string[]): string[] {
  return names.filter(
    (name) => !nodes.some(({ id }) => id === name) && !devices.some((device) => matches(device, [name])),
  )
}

/** Whether a list names the device: by id, as its engine does, by its node, or by a label (`vendor=amd`, `room=lab`). */
function matches(device: PlanDevice, names: readonly string[]): boolean {
  return names.some((name) => {
    if (name === device.id || name === device.node || name === device.engineName) return true
    const [key, value] = splitLabel(name)
    return value !== undefined && labelOf(device, key) === value
  })
}

function splitLabel(text: string): [string, string | undefined] {
  const at = text.indexOf('=')
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

function labelOf(device: PlanDevice, key: string): string | undefined {
  switch (key) {
    case 'vendor':
      return device.vendor
    case 'backend':
      return device.backend
    case 'node':
      return device.node
    case 'name':
      return device.name
    default:
      return device.labels?.[key]
  }
}
