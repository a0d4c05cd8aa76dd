import type { PlanDevice } from '../contract.ts'
import { handOverS } from '../speed/index.ts'
import type { Search } from './candidate.ts'
import { abilitiesOf, enginesOf, runsOn } from './engine-rules.ts'
import { allowedKinds, describeLayout, type Found } from './found.ts'
import { chain } from './groups.ts'
import { devicesOf, gpuStage, type Layout, type LayoutStage } from './layout.ts'
import { leastBytes, oneVendor, tooSmall, usableBytes, withinWatts } from './limits.ts'
import { searchEqualNodes } from './search-equal-nodes.ts'
import { add } from './search-node.ts'
import type { NodeView } from './survey.ts'

/** Nodes besides the main one: each costs round trips in every step. */
const mostWorkers = 8
/** Main nodes that are tried: the ones with most memory on devices, of those alike a few, as their links may differ. */
const mostMains = 12
const mostMainsAlike = 3
/** What a step of a large model hands over, to put nodes in order of nearness. */
const usualBytes = 65_536
/** Groups that hold the model, after which larger ones are not tried but for all workers together. */
const enoughGroups = 2

/** A node with those of its devices that may be joined with others; none where only its CPU may. */
interface Share {
  view: NodeView
  devices: readonly PlanDevice[]
  /** Its CPU may be lent: besides its devices, or in place of them. */
  cpu: boolean
}

/**
 * Several nodes for one instance: llama.cpp with RPC workers around a main node, and engines that reach other nodes by
 * themselves. `joinable` says which devices do not hold the model alone.
 */
export function searchNodes(
  search: Search,
  views: readonly NodeView[],
  joinable: (view: NodeView) => readonly PlanDevice[],
): Found {
  const found: Found = { candidates: [], rejected: [] }
  if (search.wishes.acrossNodes === false || views.length < 2) return found
  const kinds = allowedKinds(search.wishes)
  const shares = views
    .map((view) => ({ view, devices: joinable(view), cpu: cpuJoins(search, view) }))
    .filter(({ view, devices, cpu }) => devices.length > 0 || (cpu && view.cpuOnly))
  if (kinds.has('pipeline')) searchWorkers(search, shares, views, found)
  const equipped = shares.filter(({ devices }) => devices.length > 0)
  if (kinds.has('hybrid') || kinds.has('pipeline')) searchEqualNodes(search, equipped, found)
  return found
}

/** What a CPU draws nobody knows; one that is listed among the devices is no other. */
function cpuJoins({ wishes }: Search, { devices, hostAllowed }: NodeView): boolean {
  if (!hostAllowed || wishes.cpuOffload === false || wishes.maxWatts !== undefined) return false
  return !devices.some(({ backend }) => backend === 'cpu')
}

function searchWorkers(
  search: Search,
  shares: readonly Share[],
  views: readonly NodeView[],
  found: Found,
): void {
  const byNode = new Map(shares.map((share) => [share.view.node.id, share]))
  const workers = shares.filter(({ view }) => view.node.rpc)
  const able = views
    .filter((view) => enginesOf(search.model, view.node, search.wishes).includes('llama.cpp'))
    .map((view) => byNode.get(view.node.id) ?? { view, devices: [], cpu: false })
  const equipped = able.filter(({ devices }) => devices.length > 0)
  tryMains(search, equipped, workers, found)
  if (found.candidates.length > 0) return
  // One without devices gives its CPU at most, and passes on what its workers compute.
  const bare = able.filter(({ devices }) => devices.length === 0)
  tryMains(search, bare, workers, found)
}

function tryMains(search: Search, able: readonly Share[], workers: readonly Share[], found: Found): void {
  const mains = [...able].sort(bySize)
  const alike = new Map<string, number>()
  const tried = new Set<string>()
  for (const main of mains) {
    const before = alike.get(main.view.signature) ?? 0
    if (before >= mostMainsAlike) continue
    alike.set(main.view.signature, before + 1)
    const others = nearest(search, main, workers)
    const key = [main, ...others].map(({ view }) => view.signature).join('\n')
    if (others.length === 0 || tried.has(key)) continue
    tried.add(key)
    if (tried.size > mostMains) break
    aroundMain(search, main, others, found)
  }
}

const usable = ({ devices }: Share) => devices.reduce((sum, device) => sum + device.usableBytes, 0)
const hostUsable = ({ view }: Share) => view.node.usableBytes
const bandwidth = ({ devices }: Share) => devices.reduce((sum, device) => sum + device.memoryBytesPerS, 0)

function bySize(a: Share, b: Share): number {
  const byDevices = usable(b) - usable(a) || bandwidth(b) - bandwidth(a)
  return byDevices || hostUsable(b) - hostUsable(a) || (a.view.node.id < b.view.node.id ? -1 : 1)
}

/** By the way to the main node, then by size. */
function nearest({ world }: Search, main: Share, workers: readonly Share[]): Share[] {
  const distance = ({ view }: Share) =>
    handOverS(world.fabric.betweenNodes(main.view.node.id, view.node.id), usualBytes)
  return workers
    .filter(({ view }) => view.node.id !== main.view.node.id)
    .map((share) => ({ share, distanceS: distance(share) }))
    .sort((a, b) => a.distanceS - b.distanceS || bySize(a.share, b.share))
    .slice(0, mostWorkers)
    .map(({ share }) => share)
}

function aroundMain(search: Search, main: Share, others: readonly Share[], found: Found): void {
  const equipped = others.filter(({ devices }) => devices.length > 0)
  if (equipped.length > 0 && onDevices(search, main, equipped, found)) return
  const { cpuOffload } = search.wishes
  if (cpuOffload === false || !main.view.hostAllowed) return
  // Layers on CPUs make up for memory that the devices lack: first on the main node's, then on those of nodes without any,
  // then on all.
  const tries = [
    { workers: equipped, cpus: false },
    ...(others.length > equipped.length ? [{ workers: others, cpus: false }] : []),
    ...(equipped.some(({ cpu }) => cpu) ? [{ workers: others, cpus: true }] : []),
  ]
  for (const { workers, cpus } of tries) {
    if (workers.length === 0) continue
    const layout = layoutOf(search, main, workers, { host: true, cpus })
    if (mayJoin(search, devicesOf(layout)) && add(search, found, layout)) return
  }
}

/** Whether one instance may have all of the devices: by what runs on them, their vendors and what they draw. */
function mayJoin(search: Search, devices: readonly PlanDevice[]): boolean {
  if (!devices.every((device) => runsOn('llama.cpp', device, search.model))) return false
  if (search.wishes.crossVendor === false && !oneVendor(devices)) return false
  return withinWatts(search, devices)
}

/** Devices of the main node and of more and more others. */
function onDevices(search: Search, main: Share, others: readonly Share[], found: Found): boolean {
  const least = leastBytes(search)
  const { mostDevices } = abilitiesOf('llama.cpp')
  let holding = 0
  for (let count = 1; count <= others.length; count++) {
    if (holding >= enoughGroups && count < others.length) continue
    const layout = layoutOf(search, main, others.slice(0, count), { host: false, cpus: false })
    const devices = devicesOf(layout)
    // One more worker would find no place.
    const full = devices.length >= mostDevices || count === others.length
    if (mayJoin(search, devices)) {
      if (usableBytes('llama.cpp', devices) >= least && add(search, found, layout)) holding++
      else if (full && holding === 0) {
        found.rejected.push({ what: describeLayout(layout), reason: tooSmall(search, 'llama.cpp', devices) })
      }
    }
    if (full) break
  }
  return holding > 0
}

/**
 * RPC workers come first in llama.cpp's order of devices; the layers of the main node's CPU (`host`) before all. `cpus`:
 * workers with devices lend their CPUs as well.
 */
function layoutOf(
  { world }: Search,
  main: Share,
  workers: readonly Share[],
  { host, cpus }: { host: boolean; cpus: boolean },
): Layout {
  const { node } = main.view
  const { mostDevices } = abilitiesOf('llama.cpp')
  const own = chain(main.devices, world.fabric, mostDevices - (host ? 1 : 0))
  const room = Math.max(0, mostDevices - own.length - (host ? 1 : 0))
  const remote = workers.flatMap(({ view, devices, cpu }): LayoutStage[] => [
    ...(devices.length === 0 || (cpus && cpu) ? [{ kind: 'cpu' as const, node: view.node }] : []),
    ...chain(devices, world.fabric, mostDevices).map((device) => gpuStage(view.node, [device])),
  ])
  const stages: LayoutStage[] = [
    ...(host ? [{ kind: 'cpu' as const, node }] : []),
    ...remote.slice(0, room),
    ...own.map((device) => gpuStage(node, [device])),
  ]
  return { kind: 'pipeline', engine: 'llama.cpp', node, stages, hostExperts: false, maySkip: true }
}
