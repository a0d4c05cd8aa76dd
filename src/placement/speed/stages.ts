import type { Inventory, ModelCosts, PlanDevice, PlanInstance, PlanNode, PlanPart } from '../contract.ts'
import { between, type LayerSums, layerSumsOf } from './layer-sums.ts'
import { type Fabric, fabricOf, handOverS, hostLink, slowestWire, type Wire } from './links.ts'
import { hostRatesOf, type Rates, ratesOf } from './rates.ts'

/** Parts of an instance that share the same layers, with what they can do. */
export interface Stage {
  parts: readonly PlanPart[]
  rates: readonly Rates[]
  devices: readonly PlanDevice[]
  first: number
  end: number
  output: boolean
  node: string
  remote: boolean
  /** Joins the devices of a tensor split. */
  wire: Wire | undefined
  /** Of its layers, those whose experts lie in host memory. */
  hostExperts: readonly number[]
}

/** An instance as its speed is worked out. */
export interface Machine {
  instance: PlanInstance
  stages: readonly Stage[]
  costs: ModelCosts
  sums: LayerSums
  fabric: Fabric
  /** Of the node that the process runs on. */
  host: Rates
  embeddingLength: number
}

interface Directory {
  devices: ReadonlyMap<string, PlanDevice>
  nodes: ReadonlyMap<string, PlanNode>
}

const directories = new WeakMap<Inventory, Directory>()

/** Devices and nodes by their ids. */
export function directoryOf(inventory: Inventory): Directory {
  let directory = directories.get(inventory)
  if (!directory) {
    directory = {
      devices: new Map(inventory.devices.map((device) => [device.id, device])),
      nodes: new Map(inventory.nodes.map((node) => [node.id, node])),
    }
    directories.set(inventory, directory)
  }
  return directory
}

export function machineOf(
  instance: PlanInstance,
  costs: ModelCosts,
  inventory: Inventory,
  embeddingLength: number,
): Machine {
  const { devices, nodes } = directoryOf(inventory)
  const fabric = fabricOf(inventory)
  const node = nodes.get(instance.node)
  if (!node) throw new RangeError(`the inventory has no node "${instance.node}" that an instance runs on`)
  const host = hostRatesOf(node)
  const byStage = new Map<number, PlanPart[]>()
  for (const part of instance.parts) {
    const parts = byStage.get(part.stage)
    if (parts) parts.push(part)
    else byStage.set(part.stage, [part])
  }
  const stages = [...byStage.entries()]
    .sort(([a], [b]) => a - b)
    .map(([, parts]) => stageOf(parts, devices, nodes, host, fabric))
  return { instance, stages, costs, sums: layerSumsOf(costs), fabric, host, embeddingLength }
}

function stageOf(
  parts: readonly PlanPart[],
  devices: ReadonlyMap<string, PlanDevice>,
  nodes: ReadonlyMap<string, PlanNode>,
  host: Rates,
  fabric: Fabric,
): Stage {
  const lead = parts[0]
  if (!lead) throw new RangeError('a stage without parts')
  const own = parts.flatMap((part) => devices.get(part.deviceId) ?? [])
  const rates = parts.map((part) => {
    const device = devices.get(part.deviceId)
    if (device) return ratesOf(device)
    const node = nodes.get(part.deviceId)
    return node ? hostRatesOf(node) : host
  })
  return {
    parts,
    rates,
    devices: own,
    first: lead.layers[0],
    end: lead.layers[1],
    output: parts.some((part) => part.output),
    node: lead.node,
    remote: lead.remote,
    wire: own.length > 1 ? slowestWire(fabric, own) : undefined,
    hostExperts: lead.hostExperts,
  }
}

/** llama.cpp keeps the values between layers as f32, vLLM and its kind as 16 bits. */
export function activationBytes({ instance, embeddingLength }: Machine, tokens: number): number {
  const own = instance.engine === 'vllm' || instance.engine === 'sglang' || instance.engine === 'exllama'
  return tokens * embeddingLength * (own ? 2 : 4)
}

/** Round trips of llama.cpp's RPC for each step and worker, beside the values: the graph is sent, its end awaited. */
const rpcRoundTrips = 2

/** Seconds from the end of one stage to the begin of the next. */
export function betweenStagesS(machine: Machine, from: Stage, to: Stage, bytes: number): number {
  const { fabric, instance } = machine
  if (from.node !== to.node) {
    // RPC workers do not know each other: the main process passes on what one of them has computed.
    if (instance.engine === 'llama.cpp' && from.remote && to.remote) {
      return (
        handOverS(fabric.betweenNodes(from.node, instance.node), bytes) +
        handOverS(fabric.betweenNodes(instance.node, to.node), bytes)
      )
    }
    return handOverS(fabric.betweenNodes(from.node, to.node), bytes)
  }
  const a = from.devices.at(-1)
  const b = to.devices[0]
  if (!a || !b) return hostLink.latencyS + bytes / hostLink.bytesPerS
  return handOverS(fabric.between(a, b), bytes)
}

/** What a step pays for a stage being on another node, beside the values it hands over. */
export function remoteS({ fabric, instance }: Machine, stage: Stage): number {
  if (!stage.remote || instance.engine !== 'llama.cpp') return 0
  return rpcRoundTrips * 2 * fabric.betweenNodes(instance.node, stage.node).latencyS
}

/** Of a stage's layers with experts in host memory: the sum of `perLayer` over them. */
export function hostExpertSum(stage: Stage, perLayer: Float64Array): number {
  let sum = 0
  for (const layer of stage.hostExperts) sum += between(perLayer, layer, layer + 1)
  return sum
}
