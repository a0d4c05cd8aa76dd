import type {
  Backend,
  MemoryParts,
  ModelCosts,
  PartRole,
  PlanDevice,
  PlanModel,
  PlanNode,
} from '../contract.ts'
import {
  allReduceS,
  between,
  type Fabric,
  handOverS,
  hostLink,
  hostRatesOf,
  type LayerSums,
  layerSumsOf,
  type Rates,
  ratesOf,
  slowestWire,
} from '../speed/index.ts'
import type { StageRoom } from './assign.ts'
import { embedsOnDevice, usableFor } from './engine-rules.ts'
import { countOf, devicesOf, hasHostStage, type Layout, type LayoutStage, tensorSizeOf } from './layout.ts'

/** What is laid on the devices, before it is known where. */
export interface Load {
  model: PlanModel
  costs: ModelCosts
  fabric: Fabric
  layout: Layout
  /** Layers, from the first on, whose experts lie in host memory. */
  hostExperts: number
  /** The draft model is loaded as well. */
  draft: boolean
}

type GpuStage = LayoutStage & { kind: 'gpu' }

/** Values between layers, as they are handed over for one token. */
const activationBytes = 4

/** Part of the KV cache on each device of a tensor split: heads are not cut, so no less than one. */
export function cacheShare(model: PlanModel, tensorSize: number): number {
  if (tensorSize === 1) return 1
  const heads = Math.max(1, ...model.shape.headCountKv)
  return Math.max(1 / tensorSize, 1 / heads)
}

/** Rooms of a layout's stages, for the division of layers: the head is the last item. */
export function roomsOf(load: Load): StageRoom[] {
  const { layout, costs, fabric } = load
  const gpus = layout.stages.filter((stage) => stage.kind === 'gpu')
  const sums = layerSumsOf(costs)
  const held = heldBytes(load)
  const bytesOf = stageBytes(load)
  const secondsOf = stageSeconds(load, sums)
  const handedBytes = load.model.shape.embeddingLength * activationBytes
  let before: LayoutStage | undefined
  return layout.stages.map((stage) => {
    const entryS = before ? entryOf(fabric, before, stage, handedBytes) : 0
    const waitS = waitOf(fabric, layout, stage)
    before = stage
    if (stage.kind === 'cpu') return { ...hostRoom(load, sums, stage.node), entryS, waitS }
    // The projector lies with the first layers, the draft model with the head.
    const extraBytes =
      (stage === gpus[0] ? costs.projectorBytes : 0) +
      (load.draft && stage === gpus.at(-1) ? costs.draftBytes : 0)
    const place = { leads: stage === gpus[0], extraBytes }
    const roomWithHeadBytes = deviceRoom(load, held, stage, true, place)
    // A single stage has the head in any case.
    const roomBytes =
      layout.stages.length === 1 ? roomWithHeadBytes : deviceRoom(load, held, stage, false, place)
    const bytes = bytesOf(stage.devices.length, stage === layout.stages[0])
    return { roomBytes, roomWithHeadBytes, bytes, seconds: secondsOf(stage), entryS, waitS }
  })
}

/** Of the device that has least; on the first of them lies what a stage has once. */
function deviceRoom(
  load: Load,
  held: HeldBytes,
  { devices }: GpuStage,
  output: boolean,
  { leads, extraBytes }: { leads: boolean; extraBytes: number },
): number {
  let least = Number.POSITIVE_INFINITY
  devices.forEach((device, at) => {
    const own = roomOn(load, device, held(device, devices.length, output, leads && at === 0))
    least = Math.min(least, at === 0 ? own - extraBytes : own)
  })
  return least
}

/** What layers take of each of a stage's devices: of the first stage the embedding, too, where it lies on devices. */
function stageBytes(load: Load): (count: number, first: boolean) => Float64Array {
  const { model, costs, hostExperts } = load
  return (count, first) => {
    const share = 1 / count
    const kvShare = cacheShare(model, count)
    const embedding = first && embedsOnDevice(model) ? costs.host.weightsBytes : 0
    return known(costs, `${hostExperts} ${count} ${embedding > 0}`, () =>
      itemSums(
        costs,
        (layer) => {
          const { weightsBytes, expertBytes, kvCacheBytes } = at(costs, layer)
          const kept = weightsBytes - (layer < hostExperts ? expertBytes : 0)
          return kept * share + kvCacheBytes * kvShare + (layer === 0 ? embedding * share : 0)
        },
        costs.output.weightsBytes * share,
      ),
    )
  }
}

/** What layers take of a step on a stage; stages that follow each other are often alike. */
function stageSeconds(load: Load, sums: LayerSums): (stage: GpuStage) => Float64Array {
  const { model, fabric } = load
  let before: GpuStage | undefined
  let seconds: Float64Array | undefined
  return (stage) => {
    if (seconds && before && asFast(before, stage)) return seconds
    const count = stage.devices.length
    const slowest = stage.devices
      .map(ratesOf)
      .reduce((a, b) => (a.memoryBytesPerS <= b.memoryBytesPerS ? a : b))
    const wire = slowestWire(fabric, stage.devices)
    const reduceS = wire ? 2 * allReduceS(wire, count, model.shape.embeddingLength * activationBytes) : 0
    before = stage
    seconds = layerSeconds(load, sums, slowest, 1 / count, reduceS)
    return seconds
  }
}

/** One device each, with the same rates. */
function asFast({ devices: [a, ...more] }: GpuStage, { devices: [b, ...others] }: GpuStage): boolean {
  if (more.length > 0 || others.length > 0) return false
  return (
    a.memoryBytesPerS === b.memoryBytesPerS &&
    a.flopsPerS === b.flopsPerS &&
    a.backend === b.backend &&
    a.measured === b.measured
  )
}

/** Buffers of a device and the backend's own. */
type HeldBytes = (device: PlanDevice, tensorSize: number, output: boolean, borrows: boolean) => number

/** As for all layers, which are never smaller than for some; worked out once for devices alike. */
function heldBytes(load: Load): HeldBytes {
  const { layout, costs } = load
  const { devices } = countOf(layout)
  const onHost = onHostOf(load)
  const layers = [0, costs.layers.length] as const
  const worked: Partial<Record<Backend, Map<number, number>>> = {}
  return ({ backend }, tensorSize, output, borrows) => {
    const ofBackend = worked[backend] ?? new Map<number, number>()
    worked[backend] = ofBackend
    const key = 4 * tensorSize + 2 * Number(output) + Number(borrows)
    let bytes = ofBackend.get(key)
    if (bytes === undefined) {
      const role = { backend, layers, output, tensorSize, devices, onHost, borrows }
      bytes = costs.computeBytes(role) + costs.overheadBytes(role)
      ofBackend.set(key, bytes)
    }
    return bytes
  }
}

/** Of a device, what is left for layers. */
function roomOn(load: Load, device: PlanDevice, held: number): number {
  const { layout } = load
  const usable = usableFor(layout.engine, device)
  if (!device.unifiedMemory) return usable - held
  const node = layout.stages.find((stage) => stage.node.id === device.node)?.node ?? layout.node
  const host = node.id === layout.node.id ? hostBytes(load) : 0
  return Math.min(usable, node.usableBytes - host) - held
}

/** The process's own host memory: with several devices it keeps more inputs. */
export function hostOf(load: Pick<Load, 'layout' | 'costs' | 'hostExperts'>): MemoryParts {
  const { layout, costs } = load
  const { devices } = countOf(layout)
  if (devices <= 1) return costs.host
  return costs.hostOf({ devices, tensorSize: tensorSizeOf(layout), onHost: onHostOf(load) })
}

/** What of the weights lies in host memory: the first device then takes room to have it, one matrix at a time. */
export function onHostOf({ layout, hostExperts }: Pick<Load, 'layout' | 'hostExperts'>): PartRole['onHost'] {
  if (hasHostStage(layout)) return 'layers'
  return hostExperts > 0 ? 'experts' : undefined
}

/** What the host's memory holds whatever its CPU computes. */
export function hostBytes(load: Load): number {
  const { model, costs, hostExperts } = load
  const host = hostOf(load)
  const own = embedsOnDevice(model) ? host.totalBytes - host.weightsBytes : host.totalBytes
  return own + between(layerSumsOf(costs).expertBytes, 0, hostExperts)
}

function hostRoom(load: Load, sums: LayerSums, node: PlanNode): Omit<StageRoom, 'entryS' | 'waitS'> {
  const { layout, costs } = load
  const shared = devicesOf(layout).filter((device) => device.unifiedMemory && device.node === node.id)
  const taken = shared.reduce((sum, device) => sum + device.usableBytes, 0)
  const role = (output: boolean) => ({
    backend: 'cpu' as const,
    layers: [0, costs.layers.length] as const,
    output,
    tensorSize: 1,
    devices: devicesOf(layout).length + 1,
  })
  const own = node.id === layout.node.id ? hostBytes(load) : 0
  const room = (output: boolean) =>
    node.usableBytes - taken - own - costs.computeBytes(role(output)) - costs.overheadBytes(role(output))
  const bytes = itemSums(
    costs,
    (layer) => {
      const { weightsBytes, expertBytes, kvCacheBytes } = at(costs, layer)
      return weightsBytes - (layer < load.hostExperts ? expertBytes : 0) + kvCacheBytes
    },
    costs.output.weightsBytes,
  )
  const rates = hostRatesOf(node)
  const seconds = layerSeconds({ ...load, hostExperts: 0 }, sums, rates, 1, 0)
  return { roomBytes: room(false), roomWithHeadBytes: room(true), bytes, seconds }
}

/** A decoding step of one stream, item by item. */
function layerSeconds(
  load: Load,
  sums: LayerSums,
  rates: Rates,
  share: number,
  reduceS: number,
): Float64Array {
  const { costs, layout } = load
  const host = hostRatesOf(layout.node)
  const reads = sums.expertReads(1)
  const hostS = 2 * hostLink.latencyS + host.layerOverheadS
  const head = costs.output
  const { memoryBytesPerS, flopsPerS, layerOverheadS } = rates
  const away = load.hostExperts > 0 ? `${load.hostExperts} ${host.memoryBytesPerS}` : ''
  const key = `s ${memoryBytesPerS} ${flopsPerS} ${layerOverheadS} ${share} ${reduceS} ${away}`
  return known(costs, key, () =>
    itemSums(
      costs,
      (layer) => {
        const { weightsBytes, expertBytes, flopsPerToken } = at(costs, layer)
        const experts = between(reads, layer, layer + 1)
        const onHost = layer < load.hostExperts && expertBytes > 0
        const read = weightsBytes - expertBytes + (onHost ? 0 : experts)
        const ownS = Math.max((read * share) / memoryBytesPerS, (flopsPerToken * share) / flopsPerS)
        return ownS + layerOverheadS + reduceS + (onHost ? hostS + experts / host.memoryBytesPerS : 0)
      },
      Math.max(head.weightsBytes / memoryBytesPerS, head.flopsPerToken / flopsPerS) * share,
    ),
  )
}

const sumsOf = new WeakMap<ModelCosts, Map<string, Float64Array>>()

/** Sums of a model under a run, worked out once: devices alike, and the same ones in other layouts, have the same. */
function known(costs: ModelCosts, key: string, work: () => Float64Array): Float64Array {
  let all = sumsOf.get(costs)
  if (!all) {
    all = new Map()
    sumsOf.set(costs, all)
  }
  let sums = all.get(key)
  if (!sums) {
    sums = work()
    all.set(key, sums)
  }
  return sums
}

function entryOf(fabric: Fabric, from: LayoutStage, to: LayoutStage, bytes: number): number {
  if (from.node.id !== to.node.id) return handOverS(fabric.betweenNodes(from.node.id, to.node.id), bytes)
  if (from.kind === 'cpu' || to.kind === 'cpu') return hostLink.latencyS + bytes / hostLink.bytesPerS
  const last = from.devices.at(-1) ?? from.devices[0]
  return handOverS(fabric.between(last, to.devices[0]), bytes)
}

/** An RPC worker is waited for at each of its stages: a round trip for the graph and one for its end. */
function waitOf(fabric: Fabric, { engine, node }: Layout, stage: LayoutStage): number {
  if (engine !== 'llama.cpp' || stage.node.id === node.id) return 0
  return 4 * fabric.betweenNodes(node.id, stage.node.id).latencyS
}

const nothing = {
  weightsBytes: 0,
  expertBytes: 0,
  kvCacheBytes: 0,
  activeWeightsBytes: 0,
  kvReadBytes: 0,
  flopsPerToken: 0,
}

function at(costs: ModelCosts, layer: number) {
  return costs.layers[layer] ?? nothing
}

/** Running sum over the layers and the head. */
function itemSums(costs: ModelCosts, ofLayer: (layer: number) => number, ofHead: number): Float64Array {
  const layers = costs.layers.length
  const sums = new Float64Array(layers + 2)
  for (let layer = 0; layer < layers; layer++) sums[layer + 1] = (sums[layer] ?? 0) + ofLayer(layer)
  sums[layers + 1] = (sums[layers] ?? 0) + ofHead
  return sums
}
