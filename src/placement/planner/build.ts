import type { MemoryParts, PartRole, PlanDevice, PlanInstance, PlanPart, RunShape } from '../contract.ts'
import { between, layerSumsOf } from '../speed/index.ts'
import type { Ends } from './assign.ts'
import { embedsOnDevice, usableFor } from './engine-rules.ts'
import { countOf, type Layout, type LayoutStage, tensorSizeOf, usesHost } from './layout.ts'
import { cacheShare, hostOf, type Load, onHostOf } from './rooms.ts'

/** A stage with the layers that it was given. */
interface Filled {
  stage: LayoutStage
  first: number
  end: number
  output: boolean
  hostExperts: readonly number[]
  /** The first and the last stage of devices: the projector lies there, and the draft model here. */
  leads: boolean
  ends: boolean
}

/**
 * The instance of a layout whose items end at `ends`, each part's memory exactly as the costs have it. Undefined where a
 * device or a node would hold more than it may: the division reckons with bounds, this with the parts themselves.
 */
export function buildInstance(load: Load, ends: Ends, run: RunShape): PlanInstance | undefined {
  const filled = fill(load, ends)
  // With a stage left empty it is a smaller layout, which is tried by itself.
  if (!load.layout.maySkip && filled.length < load.layout.stages.length) return undefined
  if (
    usesHost(load.layout) &&
    !filled.some(({ stage, hostExperts }) => stage.kind === 'cpu' || hostExperts.length > 0)
  ) {
    return undefined
  }
  const layout: Layout = { ...load.layout, stages: filled.map(({ stage }) => stage) }
  const exact = { ...load, layout }
  const company = { devices: countOf(layout).parts, onHost: onHostOf(exact) }
  const parts = filled.flatMap((one, at) => partsOf(exact, company, one, at))
  const onDevices = parts.filter(({ kind, remote }) => kind === 'gpu' || remote)
  // The CPU alone is a layout of its own, where it may be.
  if (onDevices.length === 0 && workersOf(load.layout) > 0) return undefined
  const draft = onDevices.find(({ memory }) => memory.draftBytes > 0)
  const instance: PlanInstance = {
    engine: layout.engine,
    node: layout.node.id,
    splitMode: splitModeOf(layout),
    tensorSize: tensorSizeOf(layout),
    pipelineSize: Math.max(1, workersOf(layout)),
    parts: [...onDevices, ...parts.filter(({ kind, remote }) => kind === 'cpu' && !remote)],
    host: hostParts(exact, parts),
    contextLength: run.contextLength,
    slots: run.slots,
    kvCacheType: run.kvCacheType,
    ...(draft && { draftDeviceId: draft.deviceId }),
  }
  return holds(exact, filled, instance) ? instance : undefined
}

function fill({ layout, costs, hostExperts }: Load, ends: Ends): Filled[] {
  const layers = costs.layers.length
  let before = 0
  const filled = layout.stages.flatMap((stage, at) => {
    const [begin, end] = [before, ends[at] ?? before]
    before = end
    if (end === begin) return []
    const [first, last] = [Math.min(begin, layers), Math.min(end, layers)]
    const away: number[] = []
    for (let layer = first; layer < Math.min(last, hostExperts); layer++) {
      if (stage.kind === 'gpu' && (costs.layers[layer]?.expertBytes ?? 0) > 0) away.push(layer)
    }
    return [{ stage, first, end: last, output: end > layers, hostExperts: away }]
  })
  const gpus = filled.filter(({ stage }) => stage.kind === 'gpu')
  return filled.map((one) => ({ ...one, leads: one === gpus[0], ends: one === gpus.at(-1) }))
}

type Company = Pick<PartRole, 'devices' | 'onHost'>

function partsOf(load: Load, company: Company, filled: Filled, at: number): PlanPart[] {
  const { stage, first, end, output } = filled
  const { layout } = load
  const common = { stage: at, layers: [first, end] as const, output, hostExperts: filled.hostExperts }
  if (stage.kind === 'cpu') {
    const memory = memoryOf(load, company, filled, undefined, 0)
    const node = stage.node.id
    const remote = node !== layout.node.id
    return [{ ...common, deviceId: node, node, kind: 'cpu', share: 1, memory, remote }]
  }
  return stage.devices.map((device, place) => ({
    ...common,
    deviceId: device.id,
    node: device.node,
    kind: 'gpu',
    share: 1 / stage.devices.length,
    memory: memoryOf(load, company, filled, device, place),
    remote: device.node !== layout.node.id,
  }))
}

function memoryOf(
  load: Load,
  company: Company,
  filled: Filled,
  device: PlanDevice | undefined,
  place: number,
): MemoryParts {
  const { costs, model } = load
  const { stage, first, end, output } = filled
  const sums = layerSumsOf(costs)
  const tensorSize = stage.kind === 'gpu' ? stage.devices.length : 1
  const role = {
    backend: device?.backend ?? ('cpu' as const),
    layers: [first, end] as const,
    output,
    tensorSize,
    ...company,
    borrows: filled.leads && place === 0,
  }
  const away = filled.hostExperts.reduce((sum, layer) => sum + (costs.layers[layer]?.expertBytes ?? 0), 0)
  const embedding = first === 0 && embedsOnDevice(model) ? costs.host.weightsBytes : 0
  const held =
    between(sums.weightsBytes, first, end) - away + embedding + (output ? costs.output.weightsBytes : 0)
  return summed({
    weightsBytes: Math.ceil(held / tensorSize),
    kvCacheBytes: Math.ceil(between(sums.kvCacheBytes, first, end) * cacheShare(model, tensorSize)),
    computeBytes: costs.computeBytes(role),
    overheadBytes: costs.overheadBytes(role),
    projectorBytes: filled.leads && place === 0 ? costs.projectorBytes : 0,
    draftBytes: load.draft && filled.ends && place === 0 ? costs.draftBytes : 0,
  })
}

/** The process's own memory, with the experts that lie there. */
function hostParts(load: Load, parts: readonly PlanPart[]): MemoryParts {
  const { costs, model } = load
  const host = hostOf(load)
  const away = new Set(parts.flatMap(({ hostExperts }) => hostExperts))
  const experts = [...away].reduce((sum, layer) => sum + (costs.layers[layer]?.expertBytes ?? 0), 0)
  const onDevices = parts.some(({ kind }) => kind === 'gpu')
  return summed({
    ...host,
    weightsBytes: (embedsOnDevice(model) ? 0 : host.weightsBytes) + experts,
    projectorBytes: onDevices ? 0 : costs.projectorBytes,
  })
}

function summed(parts: Omit<MemoryParts, 'totalBytes'>): MemoryParts {
  const { weightsBytes, kvCacheBytes, computeBytes, overheadBytes, projectorBytes, draftBytes } = parts
  const totalBytes = weightsBytes + kvCacheBytes + computeBytes + overheadBytes + projectorBytes + draftBytes
  return { weightsBytes, kvCacheBytes, computeBytes, overheadBytes, projectorBytes, draftBytes, totalBytes }
}

function splitModeOf(layout: Layout): PlanInstance['splitMode'] {
  if (tensorSizeOf(layout) > 1) return 'tensor'
  return layout.kind === 'pipeline' && workersOf(layout) > 1 ? 'layer' : 'none'
}

/** Stages without the CPU beside the process. */
function workersOf({ stages, node }: Layout): number {
  return stages.filter((stage) => stage.kind === 'gpu' || stage.node.id !== node.id).length
}

/** Whether devices and nodes hold what lies on them. */
function holds({ layout }: Load, filled: readonly Filled[], { parts, host }: PlanInstance): boolean {
  const nodes = new Map([[layout.node.id, layout.node]])
  const taken = new Map([[layout.node.id, host.totalBytes]])
  for (const { deviceId, node, stage, memory } of parts) {
    const own = filled[stage]?.stage
    const device = own?.kind === 'gpu' ? own.devices.find(({ id }) => id === deviceId) : undefined
    if (device && memory.totalBytes > usableFor(layout.engine, device)) return false
    if (device && !device.unifiedMemory) continue
    if (own && !nodes.has(node)) nodes.set(node, own.node)
    taken.set(node, (taken.get(node) ?? 0) + memory.totalBytes)
  }
  return [...taken].every(([id, bytes]) => bytes <= (nodes.get(id)?.usableBytes ?? 0))
}
