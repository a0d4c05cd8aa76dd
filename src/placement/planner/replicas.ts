import type { PlanDevice, PlanInstance, RunShape } from '../contract.ts'
import { handOverS } from '../speed/index.ts'
import type { Candidate, Search } from './candidate.ts'
import { enginesOf, runsOn } from './engine-rules.ts'
import { fitRun } from './fit-layout.ts'
import { newFits } from './fits.ts'
import { devicesOf } from './layout.ts'
import { bestOf, eligible, ranked, type Sized, sized, sizeOf } from './rank.ts'
import { moved, singleLayout } from './search.ts'
import { searchNode } from './search-node.ts'
import { classOf, type NodeView, viewWithout } from './survey.ts'

/** Whoever gets a replica that is slower than this beside the first would rather wait for the first. */
const slowestReplica = 0.25

/** A replica with less of the first one's context would serve too few of its requests. */
const shortestReplica = 0.5

/** No plan has more instances: beyond it is a cluster of its own. */
const mostReplicas = 4096

/** Nodes that take the place of others are joined no worse than this. */
const worseLink = 1.1
/** What a step of a large model hands over. */
const usualBytes = 65_536

/**
 * More instances like `first` on what it leaves free, `wanted` in all or as many as there is room for. Each serves the
 * same context, with fewer slots or down to half of it where devices are short of memory and it was not asked for.
 */
export function replicate(search: Search, first: Candidate, wanted: number | undefined): Candidate[] {
  const most = Math.min(wanted ?? mostReplicas, mostReplicas)
  const { devices, nodes, host } = sizeOf(first)
  // Host memory and its rate are shared: a second instance there makes both slow.
  if (most <= 1 || host > 0 || devices === 0) return [first]
  const watts = { left: (search.wishes.maxWatts ?? Number.POSITIVE_INFINITY) - wattsOf(search, first) }
  if (devices === 1) return onDevices(search, first, most, watts)
  return nodes === 1 ? withinNodes(search, first, most, watts) : overNodes(search, first, most, watts)
}

interface Watts {
  left: number
}

/** Counted only where they are limited. */
function wattsOf({ wishes }: Search, candidate: Candidate): number {
  if (wishes.maxWatts === undefined) return 0
  const used = new Set(candidate.instance.parts.map(({ deviceId }) => deviceId))
  return devicesOf(candidate.layout).reduce(
    (sum, { id, watts }) => sum + (used.has(id) ? (watts ?? Number.POSITIVE_INFINITY) : 0),
    0,
  )
}

/** What an instance takes of its node's memory, what its devices share with it among that. */
function hostBytesOf({ instance, layout }: Candidate): number {
  const shared = new Set(devicesOf(layout).flatMap(({ id, unifiedMemory }) => (unifiedMemory ? [id] : [])))
  return instance.parts.reduce(
    (sum, { deviceId, memory }) => sum + (shared.has(deviceId) ? memory.totalBytes : 0),
    instance.host.totalBytes,
  )
}

/** One device each, the fastest first. */
function onDevices(search: Search, first: Candidate, most: number, watts: Watts): Candidate[] {
  const taken: Candidate[] = [first]
  const host = new Map([[first.instance.node, hostBytesOf(first)]])
  const used = new Set(first.instance.parts.map(({ deviceId }) => deviceId))
  const places = search.world.nodes
    .flatMap((view) => view.devices.map((device) => ({ view, device })))
    .filter(({ device }) => !used.has(device.id))
    .map((place) => ({ ...place, rate: place.device.memoryBytesPerS * search.world.weightOf(place.device) }))
    .sort((a, b) => b.rate - a.rate || (a.device.id < b.device.id ? -1 : 1))
  const known = new Map<string, Candidate | undefined>()
  for (const { view, device } of places) {
    if (taken.length >= most) break
    const { node } = view
    const hostTaken = host.get(node.id) ?? 0
    const replica = onDevice(
      search,
      first,
      viewWithout(view, new Set(), hostTaken, search.world),
      device,
      known,
    )
    if (!replica || wattsOf(search, replica) > watts.left) continue
    taken.push(replica)
    watts.left -= wattsOf(search, replica)
    host.set(node.id, hostTaken + hostBytesOf(replica))
  }
  return taken
}

function onDevice(
  search: Search,
  first: Candidate,
  view: NodeView,
  device: PlanDevice,
  known: Map<string, Candidate | undefined>,
): Candidate | undefined {
  const key = [classOf(device), view.node.usableBytes, view.node.engines.join('+')].join('\n')
  if (!known.has(key)) known.set(key, fitReplica(search, first, view, device))
  const like = known.get(key)
  return like && onOther(like, view, device)
}

function fitReplica(
  search: Search,
  first: Candidate,
  view: NodeView,
  device: PlanDevice,
): Candidate | undefined {
  const engine = enginesOf(search.model, view.node, search.wishes).find((name) =>
    runsOn(name, device, search.model),
  )
  if (!engine) return undefined
  const layout = singleLayout(engine, view, device)
  const drafts = first.instance.draftDeviceId !== undefined
  for (const run of replicaRuns(search, first)) {
    const trial = { run, level: first.level }
    const fitted =
      (drafts && fitRun(search, layout, { ...trial, draft: true })) ||
      fitRun(search, layout, { ...trial, draft: false })
    if (fitted) return fastEnough(first, fitted) ? fitted : undefined
  }
  return undefined
}

/** The first one's run; where they are open, with fewer slots, then with less context. */
function replicaRuns({ runs, wishes }: Search, first: Candidate): RunShape[] {
  const { contextLength, slots } = first.run
  const fewest = Math.min(slots, wishes.slots ?? 1)
  const fewer = Array.from({ length: slots - fewest + 1 }, (_, less) => ({
    ...first.run,
    slots: slots - less,
  }))
  const shorter = runs.levels
    .map((level) => level.contextLength)
    .filter((context) => context < contextLength && context >= contextLength * shortestReplica)
  return [
    ...fewer,
    ...[...new Set(shorter)].map((context) => ({ ...first.run, contextLength: context, slots: fewest })),
  ]
}

function fastEnough(first: Candidate, other: Candidate): boolean {
  return other.decodeTokensPerS >= slowestReplica * first.decodeTokensPerS
}

/** The same on another device of the same kind. */
function onOther(candidate: Candidate, view: NodeView, device: PlanDevice): Candidate {
  const { instance } = candidate
  const other: PlanInstance = {
    ...instance,
    node: view.node.id,
    parts: instance.parts.map((part) => ({ ...part, deviceId: device.id, node: view.node.id })),
    ...(instance.draftDeviceId !== undefined && { draftDeviceId: device.id }),
  }
  return { ...candidate, layout: singleLayout(instance.engine, view, device), instance: other }
}

/** Groups of devices of one node, each the best that is left; nodes alike are searched once. */
function withinNodes(search: Search, first: Candidate, most: number, watts: Watts): Candidate[] {
  const taken: Candidate[] = [first]
  const rest = new Map<string, NodeView[]>()
  const put = (view: NodeView) => rest.set(view.signature, [...(rest.get(view.signature) ?? []), view])
  const less = (view: NodeView, candidate: Candidate) => {
    const used = new Set(candidate.instance.parts.map(({ deviceId }) => deviceId))
    return viewWithout(view, used, hostBytesOf(candidate), search.world)
  }
  for (const view of search.world.nodes) {
    put(view.node.id === first.instance.node ? less(view, first) : view)
  }
  const best = bestOfNode(search, first)
  while (taken.length < most) {
    const offers = [...rest.values()]
      .flatMap(([view]) => best(view) ?? [])
      .filter((offer) => wattsOf(search, offer.candidate) <= watts.left)
    const offer = bestOf(search, eligible(search, offers))
    if (!offer) break
    const { candidate: next, view } = offer
    taken.push(next)
    watts.left -= wattsOf(search, next)
    rest.set(view.signature, (rest.get(view.signature) ?? []).slice(1))
    put(less(view, next))
  }
  return taken
}

interface Offer extends Sized {
  view: NodeView
}

/** The best group of a node that is like the first: as fast or nearly, and no larger. */
function bestOfNode(search: Search, first: Candidate): (view: NodeView | undefined) => Offer | undefined {
  const size = sizeOf(first)
  const runs = { ...search.runs, levels: replicaRuns(search, first) }
  const alike: Search = { ...search, runs, fits: newFits() }
  const known = new Map<string, Pick<Offer, 'view' | 'candidate'> | undefined>()
  const find = (view: NodeView) => {
    if (view.devices.length < 2) return undefined
    const { candidates } = searchNode(alike, view, {
      mostDevices: size.devices,
      withoutHost: true,
      bestOnly: true,
    })
    const good = candidates.filter((candidate) => {
      const its = sizeOf(candidate)
      return its.host === 0 && its.devices <= size.devices && fastEnough(first, candidate)
    })
    const [candidate] = ranked(alike, good)
    return candidate && { view, candidate }
  }
  const offers = new Map<NodeView, Offer | undefined>()
  const offerOf = (view: NodeView): Offer | undefined => {
    if (!known.has(view.signature)) known.set(view.signature, find(view))
    const offer = known.get(view.signature)
    return offer && { view, ...sized(search, moved(offer.candidate, [offer.view], [view])) }
  }
  return (view) => {
    if (!view) return undefined
    if (!offers.has(view)) offers.set(view, offerOf(view))
    return offers.get(view)
  }
}

/** Nodes that are like the first instance's, in the same places. */
function overNodes(search: Search, first: Candidate, most: number, watts: Watts): Candidate[] {
  const taken: Candidate[] = [first]
  const byId = new Map(search.world.nodes.map((view) => [view.node.id, view]))
  const ids = new Set([first.instance.node, ...first.instance.parts.map(({ node }) => node)])
  const from = [...ids].flatMap((id) => byId.get(id) ?? [])
  const free = search.world.nodes.filter(({ node }) => !ids.has(node.id))
  while (taken.length < most && wattsOf(search, first) <= watts.left) {
    const to = likeNodes(search, from, free)
    if (!to) break
    taken.push(moved(first, from, to))
    watts.left -= wattsOf(search, first)
    for (const view of to) free.splice(free.indexOf(view), 1)
  }
  return taken
}

function likeNodes(
  { world }: Search,
  from: readonly NodeView[],
  free: readonly NodeView[],
): NodeView[] | undefined {
  const distance = (a: NodeView, b: NodeView) =>
    handOverS(world.fabric.betweenNodes(a.node.id, b.node.id), usualBytes)
  const to: NodeView[] = []
  for (const view of from) {
    const like = free.find(
      (other) =>
        other.signature === view.signature &&
        !to.includes(other) &&
        to.every((before, at) => distance(before, other) <= worseLink * distance(from[at] ?? view, view)),
    )
    if (!like) return undefined
    to.push(like)
  }
  return to
}
