import type { PlanDevice } from '../contract.ts'
import { type Fabric, handOverS } from '../speed/index.ts'
import { classOf } from './survey.ts'

/** With more ways than this to take devices of each kind, only the likely ones are looked at. */
const mostGroups = 256

/**
 * Groups of at least two devices of one node that are worth a look, smaller ones first. Devices of one kind serve alike,
 * so a group is how many of each kind it takes; which ones is decided by how near they are to each other.
 */
export function groupsOf(devices: readonly PlanDevice[], fabric: Fabric, most: number): PlanDevice[][] {
  const kinds = byKind(devices)
  const ways = kinds.reduce((product, kind) => product * (kind.length + 1), 1)
  const groups = ways <= mostGroups ? allGroups(kinds, fabric) : likelyGroups(devices, kinds)
  return groups
    .filter((group) => group.length >= 2 && group.length <= most)
    .map((group) => chain(group, fabric))
    .sort((a, b) => a.length - b.length)
}

export function byKind(devices: readonly PlanDevice[]): PlanDevice[][] {
  const kinds = new Map<string, PlanDevice[]>()
  for (const device of devices) {
    const kind = classOf(device)
    const others = kinds.get(kind)
    if (others) others.push(device)
    else kinds.set(kind, [device])
  }
  return [...kinds.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, kind]) => kind)
}

function allGroups(kinds: readonly PlanDevice[][], fabric: Fabric): PlanDevice[][] {
  let groups: PlanDevice[][] = [[]]
  for (const kind of kinds) {
    const choices = kind.map((_, at) => nearestOf(kind, at + 1, fabric))
    groups = groups.flatMap((group) => [group, ...choices.map((choice) => [...group, ...choice])])
  }
  return groups
}

/** The devices in order of speed and of memory, from the first on; and all of each kind. */
function likelyGroups(devices: readonly PlanDevice[], kinds: readonly PlanDevice[][]): PlanDevice[][] {
  const orders: ((a: PlanDevice, b: PlanDevice) => number)[] = [
    (a, b) => b.memoryBytesPerS - a.memoryBytesPerS || b.usableBytes - a.usableBytes,
    (a, b) => b.usableBytes - a.usableBytes || b.memoryBytesPerS - a.memoryBytesPerS,
  ]
  const backends = [...new Set(devices.map(({ backend }) => backend))]
  const pools = [
    devices,
    ...(backends.length > 1
      ? backends.map((backend) => devices.filter((device) => device.backend === backend))
      : []),
    ...kinds,
  ]
  const groups = pools.flatMap((pool) =>
    orders.flatMap((order) => {
      const sorted = [...pool].sort(order)
      return sorted.map((_, at) => sorted.slice(0, at + 1))
    }),
  )
  const unique = new Map(
    groups.map((group) => [
      group
        .map(({ id }) => id)
        .sort()
        .join('\n'),
      group,
    ]),
  )
  return [...unique.values()]
}

/** `count` of the devices that are near to each other: grown from each of them, the nearest group is taken. */
export function nearestOf(devices: readonly PlanDevice[], count: number, fabric: Fabric): PlanDevice[] {
  if (count >= devices.length) return [...devices]
  let best: PlanDevice[] = []
  let bestS = Number.POSITIVE_INFINITY
  for (const seed of devices.slice(0, mostSeeds)) {
    const { group, slowestS } = grow(seed, devices, count, fabric)
    if (slowestS < bestS) [best, bestS] = [group, slowestS]
  }
  return best
}

const mostSeeds = 16
/** What a step of a large model hands over. */
const usualBytes = 65_536

function grow(seed: PlanDevice, devices: readonly PlanDevice[], count: number, fabric: Fabric) {
  const group = [seed]
  let slowestS = 0
  const farthestS = (device: PlanDevice) =>
    Math.max(...group.map((other) => handOverS(fabric.between(device, other), usualBytes)))
  while (group.length < count) {
    let nearest: PlanDevice | undefined
    let nearestS = Number.POSITIVE_INFINITY
    for (const device of devices) {
      if (group.includes(device)) continue
      const distanceS = farthestS(device)
      if (distanceS < nearestS) [nearest, nearestS] = [device, distanceS]
    }
    if (!nearest) break
    group.push(nearest)
    slowestS = Math.max(slowestS, nearestS)
  }
  return { group, slowestS }
}

/** Devices in the order of a pipeline: each followed by the nearest that is left, from the first on. */
export function chain(devices: readonly PlanDevice[], fabric: Fabric): PlanDevice[] {
  const rest = [...devices].sort((a, b) => (a.id < b.id ? -1 : 1))
  const ordered: PlanDevice[] = []
  while (rest.length > 0) {
    const last = ordered.at(-1)
    let next = 0
    if (last) {
      const distances = rest.map((device) => handOverS(fabric.between(last, device), usualBytes))
      next = distances.indexOf(Math.min(...distances))
    }
    ordered.push(...rest.splice(next, 1))
  }
  return ordered
}
