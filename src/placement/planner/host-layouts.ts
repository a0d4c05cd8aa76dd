import type { EngineName } from '../../engines/index.ts'
import type { PlanDevice } from '../contract.ts'
import type { Search } from './candidate.ts'
import { abilitiesOf } from './engine-rules.ts'
import { allowedKinds } from './found.ts'
import { byKind, byMake, chain } from './groups.ts'
import { gpuStage, type Layout, type LayoutStage } from './layout.ts'
import { oneVendor, withinWatts } from './limits.ts'
import type { NodeView } from './survey.ts'

/** Layouts in which host memory holds what a node's devices cannot: experts first, then layers, then all. */
export function hostLayouts(
  search: Search,
  view: NodeView,
  engine: EngineName,
  devices: readonly PlanDevice[],
): Layout[] {
  const { wishes } = search
  if (!abilitiesOf(engine).host || !view.hostAllowed) return []
  const sets = deviceSets(search, engine, devices)
  const offloaded = sets.flatMap((set) => withHost(search, view, engine, set))
  const alone = aloneAllowed(search, view) && allowedKinds(wishes).has('single')
  return alone ? [...offloaded, cpuOnly(view, engine)] : offloaded
}

/** The CPU alone, unless devices were named and it was not; a node whose CPU is listed as devices has no other. */
function aloneAllowed({ wishes }: Search, { node, devices }: NodeView): boolean {
  if (wishes.cpuOffload === false || devices.some(({ backend }) => backend === 'cpu')) return false
  return wishes.pins === undefined || wishes.pins.includes(node.id)
}

function cpuOnly({ node }: NodeView, engine: EngineName): Layout {
  const stages: LayoutStage[] = [{ kind: 'cpu', node }]
  return { kind: 'single', engine, node, stages, hostExperts: false, maySkip: false }
}

/** One device of each kind, all of each kind and of each vendor; and kinds together, the fastest or largest first. */
function deviceSets(search: Search, engine: EngineName, devices: readonly PlanDevice[]): PlanDevice[][] {
  const { wishes, world } = search
  const kinds = allowedKinds(wishes)
  const { mostDevices } = abilitiesOf(engine)
  const cards = devices.filter(({ backend }) => backend !== 'cpu')
  const alike = fewKinds(cards)
  const vendors = [...new Set(cards.map(({ vendor }) => vendor))]
  const sets = [
    ...alike.map((kind) => kind.slice(0, 1)),
    ...alike,
    ...vendors.map((vendor) => cards.filter((device) => device.vendor === vendor)),
    cards,
    ...beginnings(alike, (a, b) => b.memoryBytesPerS - a.memoryBytesPerS || b.usableBytes - a.usableBytes),
    ...beginnings(alike, (a, b) => b.usableBytes - a.usableBytes || b.memoryBytesPerS - a.memoryBytesPerS),
  ]
  const unique = new Map<string, PlanDevice[]>()
  for (const set of sets) {
    // One place is the CPU's.
    const limited = fastest(set, mostDevices - (mostDevices > 1 ? 1 : 0))
    if (limited.length === 0 || !kinds.has(limited.length === 1 ? 'single' : 'pipeline')) continue
    if (wishes.crossVendor === false && !oneVendor(limited)) continue
    if (!withinWatts(search, limited)) continue
    const ordered = chain(limited, world.fabric)
    unique.set(ordered.map(({ id }) => id).join('\n'), ordered)
  }
  return [...unique.values()]
}

/** With more kinds of devices in a node their combinations are not looked at. */
const mostKinds = 4

/** Devices by kind; of many kinds, those that only differ in free memory are one. */
function fewKinds(devices: readonly PlanDevice[]): PlanDevice[][] {
  const kinds = byKind(devices)
  return kinds.length <= mostKinds ? kinds : byMake(devices)
}

function beginnings(
  kinds: readonly PlanDevice[][],
  order: (a: PlanDevice, b: PlanDevice) => number,
): PlanDevice[][] {
  if (kinds.length > mostKinds) return []
  const sorted = [...kinds].sort(([a], [b]) => (a && b ? order(a, b) : 0))
  return sorted.map((_, at) => sorted.slice(0, at + 1).flat())
}

function fastest(devices: readonly PlanDevice[], most: number): PlanDevice[] {
  if (devices.length <= most) return [...devices]
  return [...devices]
    .sort((a, b) => b.memoryBytesPerS - a.memoryBytesPerS || b.usableBytes - a.usableBytes)
    .slice(0, most)
}

function withHost(
  { model, wishes }: Search,
  { node, devices }: NodeView,
  engine: EngineName,
  set: readonly PlanDevice[],
): Layout[] {
  const cards = set.map((device) => gpuStage(node, [device]))
  const kind = set.length > 1 ? 'pipeline' : 'single'
  const experts = (model.shape.expertCount ?? 0) > 0 && wishes.expertOffload !== false
  const layers = wishes.cpuOffload !== false && !devices.some(({ backend }) => backend === 'cpu')
  const layout = (stages: readonly LayoutStage[], hostExperts: boolean): Layout => ({
    kind,
    engine,
    node,
    stages,
    hostExperts,
    maySkip: true,
  })
  const host: LayoutStage = { kind: 'cpu', node }
  return [
    ...(experts ? [layout(cards, true)] : []),
    ...(layers ? [layout([host, ...cards], false)] : []),
    ...(experts && layers ? [layout([host, ...cards], true)] : []),
  ]
}
