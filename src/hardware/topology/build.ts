import type { Device, Link, LinkClass, Topology } from '../contract.ts'
import { estimateBandwidth } from './bandwidth.ts'
import { compareClasses, isBridge, linkClasses } from './classes.ts'
import { numaNodes } from './nodes.ts'

/**
 * The way between each two devices, once: as a tool told it (of several the nearest), else worked out from NUMA nodes.
 * Where no tool told the rate it is estimated. Links of devices that are not given are left out.
 */
export function buildTopology(devices: readonly Device[], links: readonly Link[]): Topology {
  const told = toldLinks(links)
  const classOf = guesser(devices, told)
  const pairs = devices.flatMap((a, at) =>
    devices.slice(at + 1).map((b) => ({ a, b, link: linkOf(a, b, told.get(pairKey(a.id, b.id)), classOf) })),
  )
  const peers = (device: Device, linkClass: LinkClass) =>
    pairs.filter(({ a, b, link }) => link.class === linkClass && (a === device || b === device)).length
  return {
    devices,
    links: pairs.map(({ a, b, link }) => {
      if (link.gbPerSecond) return link
      const peersOf = (device: Device) => (isBridge(link.class) ? peers(device, link.class) : 1)
      const gbPerSecond = estimateBandwidth(a, b, link, peersOf)
      return gbPerSecond ? { ...link, gbPerSecond } : link
    }),
  }
}

/** The same for both directions. */
function pairKey(a: string, b: string): string {
  return JSON.stringify(a < b ? [a, b] : [b, a])
}

/** One link a pair: the nearest class, with what the others told besides. */
function toldLinks(links: readonly Link[]): ReadonlyMap<string, Link> {
  const told = new Map<string, Link>()
  const nearestLast = links.toSorted((a, b) => compareClasses(b.class, a.class))
  for (const link of nearestLast) {
    const key = pairKey(link.a, link.b)
    const { peerAccess } = told.get(key) ?? {}
    told.set(key, { ...(peerAccess !== undefined && { peerAccess }), ...link })
  }
  return told
}

function linkOf(
  a: Device,
  b: Device,
  told: Link | undefined,
  guess: (a: Device, b: Device) => LinkClass,
): Link {
  if (told && told.class !== 'unknown') return { ...told, a: a.id, b: b.id }
  const guessed = guess(a, b)
  return { ...told, a: a.id, b: b.id, class: guessed, label: linkClasses[guessed].label }
}

/** Works out the class of a pair that no tool told of. */
function guesser(devices: readonly Device[], told: ReadonlyMap<string, Link>) {
  const nodes = numaNodes(devices)
  return (a: Device, b: Device): LinkClass => {
    const [cardA, cardB] = [a.parentId ?? a.id, b.parentId ?? b.id]
    if (cardA === cardB) return 'same_board'
    const [nodeA, nodeB] = [nodes.get(a.id), nodes.get(b.id)]
    if (a.kind === 'cpu' || b.kind === 'cpu') return classWithCpu(a, b, nodeA, nodeB)
    const ofCards =
      a.parentId === undefined && b.parentId === undefined ? undefined : told.get(pairKey(cardA, cardB))
    // Instances of MIG cannot use their card's NVLink.
    if (ofCards && ofCards.class !== 'nvlink' && ofCards.class !== 'unknown') return ofCards.class
    if (nodeA === undefined || nodeB === undefined) return 'unknown'
    return nodeA === nodeB ? 'node' : 'sys'
  }
}

/** A CPU device without a node is all of the machine's CPUs. */
function classWithCpu(a: Device, b: Device, nodeA: number | undefined, nodeB: number | undefined): LinkClass {
  const whole = (a.kind === 'cpu' && nodeA === undefined) || (b.kind === 'cpu' && nodeB === undefined)
  if (!whole && (nodeA === undefined || nodeB === undefined)) return 'unknown'
  if (!whole && nodeA !== nodeB) return 'sys'
  if (a.kind === b.kind) return 'node'
  return a.unifiedMemory || b.unifiedMemory ? 'same_board' : 'phb'
}
