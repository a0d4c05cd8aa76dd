import type { Inventory, PlanDevice, PlanLink } from '../contract.ts'

/** What a way between two devices, or two machines, costs. */
export interface Wire {
  class: PlanLink['class']
  /** Each way. */
  bytesPerS: number
  /** Until a small message is there and used: both ends' software and the synchronisation with it. */
  latencyS: number
  /** One device may read the other's memory. */
  peerAccess: boolean
}

/** `lan1`, `lan10`, `lan100`: Ethernet by its gigabits. */
export type WireClass = PlanLink['class'] | 'lan1' | 'lan10' | 'lan100'

/**
 * What a class carries where nothing was measured. Bridges: that of the smallest card that has one (RTX 3090: 56 GB/s
 * each way), since a larger card's is known. PCIe: generation 4, 16 lanes, at the 0.8 that copies reach; less with each
 * hop. 10 us is NVIDIA's figure for a message between two bridged cards (aiconfigurator), 20 to 40 us what PCIe takes.
 */
export const linkDefaults: Readonly<Record<WireClass, Omit<Wire, 'class'>>> = {
  nvlink: { bytesPerS: 50e9, latencyS: 10e-6, peerAccess: true },
  xgmi: { bytesPerS: 50e9, latencyS: 10e-6, peerAccess: true },
  xelink: { bytesPerS: 25e9, latencyS: 12e-6, peerAccess: true },
  same_board: { bytesPerS: 50e9, latencyS: 10e-6, peerAccess: true },
  pix: { bytesPerS: 25e9, latencyS: 20e-6, peerAccess: false },
  pxb: { bytesPerS: 22e9, latencyS: 25e-6, peerAccess: false },
  phb: { bytesPerS: 20e9, latencyS: 30e-6, peerAccess: false },
  node: { bytesPerS: 18e9, latencyS: 35e-6, peerAccess: false },
  sys: { bytesPerS: 12e9, latencyS: 40e-6, peerAccess: false },
  unknown: { bytesPerS: 10e9, latencyS: 40e-6, peerAccess: false },
  lan: { bytesPerS: 117e6, latencyS: 150e-6, peerAccess: false },
  lan1: { bytesPerS: 117e6, latencyS: 150e-6, peerAccess: false },
  lan10: { bytesPerS: 1.17e9, latencyS: 60e-6, peerAccess: false },
  lan100: { bytesPerS: 11.7e9, latencyS: 30e-6, peerAccess: false },
}

/** Between host memory and a card: PCIe 4 x16 as copies reach it. */
export const hostLink = { bytesPerS: 25e9, latencyS: 15e-6 } as const

/** A message that has to go through the host's memory is copied twice, and waited for twice. */
const throughHost = 2

/** Looks up what joins devices and nodes; what is not told is taken by its class. */
export interface Fabric {
  between(a: PlanDevice, b: PlanDevice): Wire
  betweenNodes(a: string, b: string): Wire
  /** No way of the device is told: its place in the machine says all. */
  untold(device: PlanDevice): boolean
}

/** Told ways, by one end and the other. */
type Told = ReadonlyMap<string, ReadonlyMap<string, Wire>>

const fabrics = new WeakMap<Inventory, Fabric>()
const toldOf = new WeakMap<Inventory['links'], Told>()

export function fabricOf(inventory: Inventory): Fabric {
  const known = fabrics.get(inventory)
  if (known) return known
  const told = toldOf.get(inventory.links) ?? indexed(inventory.links)
  toldOf.set(inventory.links, told)
  const betweenNodes = (a: string, b: string) => told.get(a)?.get(b) ?? classWire('lan')
  const fabric: Fabric = {
    betweenNodes,
    between: (a, b) => {
      const own = told.get(a.id)?.get(b.id)
      if (own) return own
      if (a.node !== b.node) return betweenNodes(a.node, b.node)
      const apart = a.numaNode !== undefined && b.numaNode !== undefined && a.numaNode !== b.numaNode
      return classWire(apart ? 'sys' : 'phb')
    },
    untold: ({ id }) => !told.has(id),
  }
  fabrics.set(inventory, fabric)
  return fabric
}

/** Ways that are alike share one object, so that they are compared at a glance. */
function indexed(links: Inventory['links']): Told {
  const told = new Map<string, Map<string, Wire>>()
  const put = (from: string, to: string, wire: Wire) => {
    const row = told.get(from)
    if (row) row.set(to, wire)
    else told.set(from, new Map([[to, wire]]))
  }
  const unlike: Wire[] = []
  for (const link of links) {
    const read = wireOf(link)
    let wire = unlike.find((known) => sameWire(known, read))
    if (!wire) {
      wire = read
      if (unlike.length < mostShared) unlike.push(read)
    }
    put(link.a, link.b, wire)
    put(link.b, link.a, wire)
  }
  return told
}

/** Measured ways may all differ: sharing these is not worth the search. */
const mostShared = 16

/** They carry as much, as fast. */
export function sameWire(a: Wire, b: Wire): boolean {
  return (
    a.class === b.class &&
    a.bytesPerS === b.bytesPerS &&
    a.latencyS === b.latencyS &&
    a.peerAccess === b.peerAccess
  )
}

const wires = new Map<WireClass, Wire>()

function classWire(name: PlanLink['class']): Wire {
  let wire = wires.get(name)
  if (!wire) {
    wire = { class: name, ...linkDefaults[name] }
    wires.set(name, wire)
  }
  return wire
}

function wireOf(link: PlanLink): Wire {
  const usual = linkDefaults[link.class]
  return {
    class: link.class,
    bytesPerS: link.bytesPerS > 0 ? link.bytesPerS : usual.bytesPerS,
    latencyS: link.latencyS > 0 ? link.latencyS : usual.latencyS,
    peerAccess: link.peerAccess ?? usual.peerAccess,
  }
}

/** Seconds until `bytes` are on the other side. */
export function handOverS(wire: Wire, bytes: number): number {
  const direct = wire.peerAccess || wire.class === 'lan'
  return (wire.latencyS + bytes / wire.bytesPerS) * (direct ? 1 : throughHost)
}

/**
 * Seconds in which `count` devices add up a vector of `bytes`: each sends and gets `2 (N - 1) / N` of it; small ones wait
 * for as many messages as a tree over the devices is high.
 */
export function allReduceS(slowest: Wire, count: number, bytes: number): number {
  if (count < 2) return 0
  const hops = Math.ceil(Math.log2(count))
  const carried = (2 * (count - 1) * bytes) / count / slowest.bytesPerS
  const direct = slowest.peerAccess || slowest.class === 'lan'
  return (hops * slowest.latencyS + carried) * (direct ? 1 : throughHost)
}

/** The slowest of the ways between any two of the devices. */
export function slowestWire(fabric: Fabric, devices: readonly PlanDevice[]): Wire | undefined {
  let slowest: Wire | undefined
  devices.forEach((a, at) => {
    for (let next = at + 1; next < devices.length; next++) {
      const b = devices[next]
      const wire = b && fabric.between(a, b)
      if (wire && wire !== slowest && (!slowest || costOf(wire) > costOf(slowest))) slowest = wire
    }
  })
  return slowest
}

/** To compare ways: seconds for 64 KiB, about what a step of a large model hands over. */
const usualBytes = 65_536
const costOf = (wire: Wire) => handOverS(wire, usualBytes)
