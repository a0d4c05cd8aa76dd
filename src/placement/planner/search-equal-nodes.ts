import type { EngineName } from '../../engines/index.ts'
import type { PlanDevice } from '../contract.ts'
import { slowestWire } from '../speed/index.ts'
import type { Search } from './candidate.ts'
import { abilitiesOf, enginesOf, runsOn } from './engine-rules.ts'
import { allowedKinds, type Found } from './found.ts'
import { chain } from './groups.ts'
import { gpuStage, type Layout } from './layout.ts'
import { leastBytes, usableBytes, withinWatts } from './limits.ts'
import { add } from './search-node.ts'
import { classOf, type NodeView } from './survey.ts'
import { tensorObstacle } from './tensor-rules.ts'

/** Nodes of one vLLM or SGLang instance; more are more stages that one answer has to pass. */
const mostNodes = 16
const enoughGroups = 2

interface Share {
  view: NodeView
  devices: readonly PlanDevice[]
}

/**
 * Engines that span nodes by themselves take as many like devices of each: tensors within a node, stages from node to
 * node (vLLM's own rule).
 */
export function searchEqualNodes(search: Search, shares: readonly Share[], found: Found): void {
  const kinds = allowedKinds(search.wishes)
  for (const [engine, alike] of likeNodes(search, shares)) {
    const least = leastBytes(search)
    let holding = 0
    for (let count = 2; count <= Math.min(mostNodes, alike.length) && holding < enoughGroups; count++) {
      const nodes = alike.slice(0, count)
      const devices = nodes.flatMap((node) => node.devices)
      if (usableBytes(engine, devices) < least || !withinWatts(search, devices)) continue
      const layouts = [widest(search, engine, nodes), staged(engine, nodes)].filter(
        (layout) => layout !== undefined && kinds.has(layout.kind),
      )
      if (layouts.filter((layout) => layout && add(search, found, layout)).length > 0) holding++
    }
  }
}

function likeNodes(search: Search, shares: readonly Share[]): [EngineName, Share[]][] {
  const alike = new Map<string, [EngineName, Share[]]>()
  for (const share of shares) {
    const engine = enginesOf(search.model, share.view.node, search.wishes).find(
      (name) => abilitiesOf(name).acrossNodes === 'own',
    )
    if (!engine) continue
    const devices = chain(
      share.devices.filter((device) => runsOn(engine, device, search.model)),
      search.world.fabric,
    )
    const kinds = new Set(devices.map(classOf))
    if (kinds.size !== 1) continue
    const key = `${engine}\n${devices.length}\n${[...kinds][0]}`
    const others = alike.get(key) ?? [engine, []]
    others[1].push({ view: share.view, devices })
    alike.set(key, others)
  }
  return [...alike.values()]
}

/** Tensors over all devices of a node, or over as many as divide the model. */
function widest(search: Search, engine: EngineName, nodes: readonly Share[]): Layout | undefined {
  const [first] = nodes
  if (!first) return undefined
  for (let size = first.devices.length; size >= 2; size--) {
    const some = first.devices.slice(0, size)
    if (first.devices.length % size !== 0 || tensorObstacle(search.model, engine, some, search.wishes))
      continue
    const wire = slowestWire(search.world.fabric, some)
    if (!wire?.peerAccess && search.wishes.strategy !== 'hybrid') continue
    const stages = nodes.flatMap(({ view, devices }) =>
      Array.from({ length: devices.length / size }, (_, at) =>
        gpuStage(view.node, devices.slice(at * size, (at + 1) * size)),
      ),
    )
    const { node } = first.view
    return { kind: 'hybrid', engine, node, stages, hostExperts: false, maySkip: false }
  }
  return undefined
}

function staged(engine: EngineName, nodes: readonly Share[]): Layout | undefined {
  const [first] = nodes
  if (!first) return undefined
  const stages = nodes.flatMap(({ view, devices }) => devices.map((device) => gpuStage(view.node, [device])))
  return { kind: 'pipeline', engine, node: first.view.node, stages, hostExperts: false, maySkip: false }
}
