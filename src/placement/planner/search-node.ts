import type { EngineName } from '../../engines/index.ts'
import type { PlanDevice } from '../contract.ts'
import { slowestWire } from '../speed/index.ts'
import { nothingReached, outdone, type Reached, reach } from './bounds.ts'
import type { Candidate, Search } from './candidate.ts'
import { abilitiesOf, enginesOf, runsOn, usableFor } from './engine-rules.ts'
import { fitLayout, isRoomy } from './fit-layout.ts'
import { allowedKinds, describeLayout, divisionAsked, type Found, sizesMatch } from './found.ts'
import { byKind, chain, groupsOf } from './groups.ts'
import { hostLayouts } from './host-layouts.ts'
import { gpuStage, type Layout } from './layout.ts'
import { leastBytes, oneVendor, tooSmall, usableBytes, withinWatts } from './limits.ts'
import type { NodeView } from './survey.ts'
import { tensorObstacle } from './tensor-rules.ts'
import { gibibytes, listDevices } from './texts.ts'

/** Of many groups that could hold the model so many are worked out: the likely fastest ones, and the smallest. */
const mostGroupsTried = 20
/** Of as many devices each, so many at most: those of three may all be unfit for what those of four can do. */
const mostOfSize = 4

/** What of a node is to be looked at; all of it where nothing is told. */
interface Scope {
  /** The largest group. */
  mostDevices?: number
  /** Its devices only. */
  withoutHost?: boolean
  /** Only what may be the best of all is looked for. */
  bestOnly?: boolean
  /** By other nodes, and by this one in the end. */
  reached?: Reached
}

/** All that a node alone can do for the model: one device, several, and its CPU. */
export function searchNode(search: Search, view: NodeView, scope: Scope = {}): Found {
  const found: Found = { candidates: [], rejected: [] }
  for (const engine of enginesOf(search.model, view.node, search.wishes)) {
    const devices = view.devices.filter((device) => runsOn(engine, device, search.model))
    const small = singles(search, view, engine, devices, found)
    const divided = divisionAsked(search.wishes) ? devices : small
    const passedOver = groups(search, view, engine, divided, found, scope)
    const withHost = scope.withoutHost ? [] : hostLayouts(search, view, engine, divided)
    for (const layout of withHost) add(search, found, layout)
    // What the preferred engine can do need not be tried with another.
    if (found.candidates.length > 0 || passedOver) break
  }
  return found
}

export function add(search: Search, found: Found, layout: Layout): Candidate | undefined {
  const candidate = fitLayout(search, layout)
  if (!candidate || !sizesMatch(candidate.instance, search.wishes)) return undefined
  found.candidates.push(candidate)
  return candidate
}

/** One device of each kind. Returned are the devices that do not hold the model alone: those may be joined. */
function singles(
  search: Search,
  view: NodeView,
  engine: EngineName,
  devices: readonly PlanDevice[],
  found: Found,
): PlanDevice[] {
  const wanted = allowedKinds(search.wishes).has('single')
  const small: PlanDevice[] = []
  for (const kind of byKind(devices)) {
    const [device] = kind
    if (!device) continue
    const { node } = view
    const stages = [gpuStage(node, [device])]
    const layout: Layout = { kind: 'single', engine, node, stages, hostExperts: false, maySkip: false }
    const candidate = withinWatts(search, [device]) ? fitLayout(search, layout) : undefined
    if (!candidate || !isRoomy(search, candidate)) small.push(...kind)
    if (candidate && wanted) found.candidates.push(candidate)
    if (!candidate && wanted)
      found.rejected.push({ what: describeLayout(layout), reason: tooSmall(search, engine, [device]) })
  }
  return small
}

/** Several devices. Returned is whether any were passed over, as what is known comes before them in any case. */
function groups(
  search: Search,
  view: NodeView,
  engine: EngineName,
  devices: readonly PlanDevice[],
  found: Found,
  { mostDevices = Number.POSITIVE_INFINITY, bestOnly = false, reached = nothingReached() }: Scope,
): boolean {
  const { wishes, world } = search
  const kinds = allowedKinds(wishes)
  const ability = abilitiesOf(engine)
  const most = Math.min(mostDevices, ability.mostDevices)
  if (most < 2 || (!kinds.has('tensor') && !kinds.has('pipeline') && !kinds.has('hybrid'))) return false
  const least = leastBytes(search)
  const all = groupsOf(devices, world.fabric, most)
    .filter((group) => group.every(({ backend }) => backend !== 'cpu'))
    .filter((group) => wishes.crossVendor !== false || oneVendor(group))
    .filter((group) => ability.mixedBackends || new Set(group.map(({ backend }) => backend)).size === 1)
    .filter((group) => withinWatts(search, group))
  const large = all.filter((group) => usableBytes(engine, group) >= least)
  if (large.length === 0 && devices.length > 1) {
    const what = `divided over ${listDevices(devices)} of ${view.node.id}`
    found.rejected.push({
      what,
      reason: all.length > 0 ? tooSmall(search, engine, devices) : 'devices that do not go together',
    })
  }
  const likely = likeliest(search, engine, large).map((group) => chain(group, world.fabric))
  for (const group of kinds.has('tensor') ? likely : []) tensor(search, view, engine, group, found)
  for (const group of kinds.has('hybrid') && ability.both ? likely : []) {
    both(search, view, engine, group, found)
  }
  for (const candidate of found.candidates) reach(search, reached, candidate)
  let passedOver = false
  for (const group of kinds.has('pipeline') ? likely : []) {
    const layout = pipeline(view, engine, group)
    if (outdone(search, layout, reached, bestOnly)) passedOver = true
    else {
      const candidate = add(search, found, layout)
      if (candidate) reach(search, reached, candidate)
    }
  }
  return passedOver
}

/** The smallest groups, and those that would read the model in the shortest time, their fastest devices filled first. */
function likeliest(
  search: Search,
  engine: EngineName,
  all: readonly PlanDevice[][],
): readonly PlanDevice[][] {
  if (all.length <= mostGroupsTried) return all
  const needed = leastBytes(search)
  const seconds = new Map(all.map((group) => [group, readingS(engine, group, needed)]))
  const fastestOf = (groups: readonly PlanDevice[][], count: number) =>
    [...groups].sort((a, b) => (seconds.get(a) ?? 0) - (seconds.get(b) ?? 0)).slice(0, count)
  const some = [...Map.groupBy(all, ({ length }) => length).values()].flatMap((groups) =>
    fastestOf(groups, mostOfSize),
  )
  if (some.length <= mostGroupsTried) return some
  return [...new Set([...some.slice(0, mostGroupsTried / 2), ...fastestOf(some, mostGroupsTried / 2)])]
}

function readingS(engine: EngineName, group: readonly PlanDevice[], neededBytes: number): number {
  let left = neededBytes
  let seconds = 0
  for (const device of [...group].sort((a, b) => b.memoryBytesPerS - a.memoryBytesPerS)) {
    const bytes = Math.min(left, usableFor(engine, device))
    seconds += bytes / device.memoryBytesPerS
    left -= bytes
  }
  return seconds
}

function tensor(
  search: Search,
  view: NodeView,
  engine: EngineName,
  group: readonly PlanDevice[],
  found: Found,
) {
  const { model, wishes, world } = search
  const { node } = view
  const stages = [gpuStage(node, group)]
  const layout: Layout = { kind: 'tensor', engine, node, stages, hostExperts: false, maySkip: false }
  const wire = slowestWire(world.fabric, group)
  const far = wire && !wire.peerAccess && !divisionAsked(wishes)
  const obstacle =
    tensorObstacle(model, engine, group, wishes) ??
    (far
      ? `no bridge and no peer access between all of them (${wire.class}): each layer would wait for the host twice`
      : undefined)
  if (obstacle !== undefined) found.rejected.push({ what: describeLayout(layout), reason: obstacle })
  else if (!add(search, found, layout)) {
    found.rejected.push({ what: describeLayout(layout), reason: noRoomEach(search, engine, group) })
  }
}

function noRoomEach(search: Search, engine: EngineName, group: readonly PlanDevice[]): string {
  const least = Math.min(...group.map((device) => usableFor(engine, device)))
  const each = leastBytes(search) / group.length
  return `equal shares of ${gibibytes(each)} and buffers do not fit into ${gibibytes(least)}`
}

function pipeline({ node }: NodeView, engine: EngineName, group: readonly PlanDevice[]): Layout {
  const stages = group.map((device) => gpuStage(node, [device]))
  return { kind: 'pipeline', engine, node, stages, hostExperts: false, maySkip: false }
}

/** Tensors within near devices, and stages of such: 8 as 4 x 2. */
function both(
  search: Search,
  view: NodeView,
  engine: EngineName,
  group: readonly PlanDevice[],
  found: Found,
) {
  const { node } = view
  for (let size = 2; size <= group.length / 2; size++) {
    if (
      group.length % size !== 0 ||
      tensorObstacle(search.model, engine, group.slice(0, size), search.wishes)
    )
      continue
    const stages = Array.from({ length: group.length / size }, (_, at) =>
      gpuStage(node, group.slice(at * size, (at + 1) * size)),
    )
    const near = stages.every((stage) => {
      const wire = stage.kind === 'gpu' ? slowestWire(search.world.fabric, stage.devices) : undefined
      return wire?.peerAccess || divisionAsked(search.wishes)
    })
    if (near) add(search, found, { kind: 'hybrid', engine, node, stages, hostExperts: false, maySkip: false })
  }
}
