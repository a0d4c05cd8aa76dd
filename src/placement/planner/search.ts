import type { PlanDevice, PlanInstance } from '../contract.ts'
import { nothingReached } from './bounds.ts'
import type { Candidate, Search } from './candidate.ts'
import { enginesOf, runsOn } from './engine-rules.ts'
import { fitLayout, isRoomy } from './fit-layout.ts'
import { divisionAsked, type Found } from './found.ts'
import { gpuStage, type Layout, type LayoutStage } from './layout.ts'
import { searchNode } from './search-node.ts'
import { searchNodes } from './search-nodes.ts'
import { classOf, type NodeView } from './survey.ts'

/** What of a search can be used again. */
interface Searched {
  /** Whether a device holds the model alone, by node and kind. */
  alone: Map<string, boolean>
}

/** Every layout that the world has for the model, each kind of node searched once. */
export function searchWorld(search: Search): Found {
  const { world } = search
  const searched: Searched = { alone: new Map() }
  const found: Found = { candidates: [], rejected: [] }
  const seen = new Set<string>()
  const reached = nothingReached()
  for (const view of world.nodes) {
    if (seen.has(view.signature)) continue
    seen.add(view.signature)
    const { candidates, rejected } = searchNode(search, view, { reached })
    found.candidates.push(...candidates)
    found.rejected.push(...rejected)
  }
  const joinable = (view: NodeView) =>
    divisionAsked(search.wishes)
      ? view.devices
      : view.devices.filter((device) => !holdsAlone(search, searched, view, device))
  const across = searchNodes(search, world.nodes, joinable)
  found.candidates.push(...across.candidates)
  found.rejected.push(...across.rejected)
  return found
}

/** The same candidate on nodes of the same signatures: devices by their places. */
export function moved(candidate: Candidate, from: readonly NodeView[], to: readonly NodeView[]): Candidate {
  const nodes = new Map<string, NodeView>()
  const devices = new Map<string, PlanDevice>()
  from.forEach((view, at) => {
    const other = to[at]
    if (!other) return
    nodes.set(view.node.id, other)
    view.devices.forEach((device, place) => {
      const same = other.devices[place]
      if (same) devices.set(device.id, same)
    })
  })
  const { layout, instance } = candidate
  const nodeOf = (id: string) => nodes.get(id)?.node.id ?? id
  const nameOf = (id: string) => devices.get(id)?.id ?? nodeOf(id)
  const stages = layout.stages.map((stage): LayoutStage => {
    const node = nodes.get(stage.node.id)?.node ?? stage.node
    if (stage.kind === 'cpu') return { kind: 'cpu', node }
    return gpuStage(
      node,
      stage.devices.map((device) => devices.get(device.id) ?? device),
    )
  })
  const renamed: PlanInstance = {
    ...instance,
    node: nodeOf(instance.node),
    parts: instance.parts.map((part) => ({
      ...part,
      deviceId: nameOf(part.deviceId),
      node: nodeOf(part.node),
    })),
    ...(instance.draftDeviceId !== undefined && { draftDeviceId: nameOf(instance.draftDeviceId) }),
  }
  const node = nodes.get(layout.node.id)?.node ?? layout.node
  return { ...candidate, layout: { ...layout, node, stages }, instance: renamed }
}

function holdsAlone(search: Search, searched: Searched, view: NodeView, device: PlanDevice): boolean {
  const { node } = view
  const key = [classOf(device), node.usableBytes, node.engines.join('+')].join('\n')
  let alone = searched.alone.get(key)
  if (alone === undefined) {
    const engine = enginesOf(search.model, node, search.wishes).find((name) =>
      runsOn(name, device, search.model),
    )
    const layout = engine && singleLayout(engine, view, device)
    const fitted = layout && fitLayout(search, layout)
    alone = fitted !== undefined && isRoomy(search, fitted)
    searched.alone.set(key, alone)
  }
  return alone
}

export function singleLayout(engine: Layout['engine'], { node }: NodeView, device: PlanDevice): Layout {
  return {
    kind: 'single',
    engine,
    node,
    stages: [gpuStage(node, [device])],
    hostExperts: false,
    maySkip: false,
  }
}
