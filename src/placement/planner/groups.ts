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
    const { group, slowestS } = grow(seed, devices, longest, fabric)
    slowestS.forEach((seconds, at) => {
      if (seconds >= (bestS[at] ?? 0)) return
      bestS[at] = seconds
      best[at] = group
    })
  }
  return best.map((group, at) => (at + 1 === devices.length ? [...devices] : group.slice(0, at + 1)))
}

const mostSeeds = 16
/** What a step of a large model hands over. */
const usualBytes = 65_536

/** The group in the order of its growth, and its slowest way when it had one device, two, and so on. */
function grow(seed: PlanDevice, devices: readonly PlanDevice[], count: number, fabric: Fabric) {
  const group = [seed]
  const slowestS = [0]
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
  return { group, slowestS }
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
