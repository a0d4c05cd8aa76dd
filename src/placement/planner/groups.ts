import type { PlanDevice } from '../contract.ts'
import { type Fabric, handOverS } from '../speed/index.ts'
import { classOf, kindOf } from './survey.ts'

/**
 * With more ways than this to take devices of each kind, devices that only differ in free memory are of one kind, the
 * roomiest first; with still more, only the likely ones are looked at.
 */
const mostGroups = 100

/**
 * Groups of two to `most` devices of one node that are worth a look, smaller ones first. Devices of one kind serve
 * alike, so a group is how many of each kind it takes; which ones is decided by how near they are to each other.
 */
export function groupsOf(devices: readonly PlanDevice[], fabric: Fabric, most: number): PlanDevice[][] {
  const kinds = kindsOf(devices)
  const groups =
    waysOf(kinds) <= mostGroups ? allGroups(kinds, fabric, most) : likelyGroups(devices, kinds, most)
  return groups
    .filter((group) => group.length >= 2 && group.length <= most)
    .sort((a, b) => a.length - b.length)
}

function waysOf(kinds: readonly PlanDevice[][]): number {
  return kinds.reduce((product, kind) => product * (kind.length + 1), 1)
}

/** Devices by kind: the finer kinds where these are few enough for all groups of them to be looked at. */
function kindsOf(devices: readonly PlanDevice[]): PlanDevice[][] {
  const fine = byKind(devices)
  return waysOf(fine) <= mostGroups ? fine : byMake(devices)
}

/** Devices that serve alike. */
export function byKind(devices: readonly PlanDevice[]): PlanDevice[][] {
  return grouped(devices, classOf)
}

/** Devices that serve alike but for their free memory, those with most of it first. */
export function byMake(devices: readonly PlanDevice[]): PlanDevice[][] {
  return grouped(devices, kindOf).map((kind) => kind.sort((a, b) => b.usableBytes - a.usableBytes))
}

function grouped(devices: readonly PlanDevice[], nameOf: (device: PlanDevice) => string): PlanDevice[][] {
  const kinds = [...Map.groupBy(devices, nameOf)]
  return kinds.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, kind]) => kind)
}

function allGroups(kinds: readonly PlanDevice[][], fabric: Fabric, most: number): PlanDevice[][] {
  let groups: PlanDevice[][] = [[]]
  for (const kind of kinds) {
    const choices = nearestGroups(kind, most, fabric)
    groups = groups.flatMap((group) => [group, ...choices.map((choice) => [...group, ...choice])])
  }
  return groups
}

/** The devices in order of speed and of memory, from the first on; and all of each kind. */
function likelyGroups(
  devices: readonly PlanDevice[],
  kinds: readonly PlanDevice[][],
  most: number,
): PlanDevice[][] {
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
  const unique = new Map<string, PlanDevice[]>()
  for (const pool of pools) {
    for (const order of orders) {
      const sorted = [...pool].sort(order)
      for (let count = 2; count <= Math.min(most, sorted.length); count++) {
        const group = sorted.slice(0, count)
        const key = group
          .map(({ id }) => id)
          .sort()
          .join('\n')
        if (!unique.has(key)) unique.set(key, group)
      }
    }
  }
  return [...unique.values()]
}

/**
 * For each count, from one to `most`, so many of the devices that are near to each other. A group is grown from each
 * device by the one nearest to all of it (the first in order of equal ones), so that a smaller group is the beginning
 * of a larger one; of those of a count the one is taken whose slowest way is the fastest.
 */
function nearestGroups(devices: readonly PlanDevice[], most: number, fabric: Fabric): PlanDevice[][] {
  const longest = Math.min(most, devices.length)
  const bestS = new Array<number>(longest).fill(Number.POSITIVE_INFINITY)
  const best: PlanDevice[][] = new Array(longest).fill([])
  for (const seed of devices.slice(0, mostSeeds)) {
    const { group, slowestS, nearestS } = grow(seed, devices, longest, fabric)
    slowestS.forEach((seconds, at) => {
      if (seconds >= (bestS[at] ?? 0)) return
      bestS[at] = seconds
      best[at] = group
    })
    // All are as near to each other: no other group is nearer.
    if (longest === devices.length && (slowestS.at(-1) ?? 0) <= nearestS) break
  }
  return best.map((group, at) => (at + 1 === devices.length ? [...devices] : group.slice(0, at + 1)))
}

const mostSeeds = 16
/** What a step of a large model hands over. */
const usualBytes = 65_536

/**
 * The group in the order of its growth, and its slowest way when it had one device, two, and so on; and the fastest of
 * all ways that were looked at.
 */
function grow(seed: PlanDevice, devices: readonly PlanDevice[], count: number, fabric: Fabric) {
  const group = [seed]
  const slowestS = [0]
  let nearestS = Number.POSITIVE_INFINITY
  const rest = devices.filter((device) => device !== seed)
  // Of each device left, the way to the farthest of the group.
  const farthestS = new Float64Array(rest.length)
  let last = seed
  while (group.length < count) {
    let nearest = 0
    for (let at = 0; at < rest.length; at++) {
      const device = rest[at]
      if (!device) continue
      const distanceS = handOverS(fabric.between(last, device), usualBytes)
      nearestS = Math.min(nearestS, distanceS)
      if (distanceS > (farthestS[at] ?? 0)) farthestS[at] = distanceS
      if ((farthestS[at] ?? 0) < (farthestS[nearest] ?? 0)) nearest = at
    }
    const next = rest[nearest]
    if (!next) break
    slowestS.push(Math.max(slowestS.at(-1) ?? 0, farthestS[nearest] ?? 0))
    group.push(next)
    rest.splice(nearest, 1)
    farthestS.copyWithin(nearest, nearest + 1)
    last = next
  }
  return { group, slowestS, nearestS }
}

/** Devices in the order of a pipeline, `most` of them: each followed by the nearest that is left, from the first on. */
export function chain(
  devices: readonly PlanDevice[],
  fabric: Fabric,
  most = Number.POSITIVE_INFINITY,
): PlanDevice[] {
  const rest = [...devices].sort((a, b) => (a.id < b.id ? -1 : 1))
  const ordered: PlanDevice[] = []
  while (rest.length > 0 && ordered.length < most) {
    const last = ordered.at(-1)
    let next = 0
    let nextS = Number.POSITIVE_INFINITY
    for (let at = 0; last && at < rest.length; at++) {
      const device = rest[at]
      const distanceS = device ? handOverS(fabric.between(last, device), usualBytes) : nextS
      if (distanceS < nextS) [next, nextS] = [at, distanceS]
    }
    ordered.push(...rest.splice(next, 1))
  }
  return ordered
}
