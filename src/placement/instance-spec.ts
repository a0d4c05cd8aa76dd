import type { InstanceSpec, InstanceSplit, ParallelNode, ParallelSpec } from '../engines/index.ts'
import { visibilityOf } from '../hardware/index.ts'
import type { Inventory, PlanDevice, PlanInstance, PlanPart } from './contract.ts'

/** What a plan does not say of an instance: its files, and how it is run. */
export type SpecBase = Omit<
  InstanceSpec,
  | 'contextLength'
  | 'slots'
  | 'kvCacheType'
  | 'gpuLayers'
  | 'split'
  | 'rpcWorkers'
  | 'rpcDevices'
  | 'hostExperts'
  | 'draft'
  | 'parallel'
>

export interface SpecPlaces {
  /** The draft model's file, for plans that have one. */
  draftPath?: string
  /**
   * Where a node's RPC worker, or its part of a group, is reached, as `host:port`. Absent: where the inventory says, else
   * the node's name at `rpcPort`.
   */
  addressOf?(node: string): string
}

/** llama.cpp's own choice for its RPC workers. */
export const rpcPort = 50_052

/**
 * The spec that starts a planned instance: what `base` says, on the devices and with the layers that the plan gives them.
 * A node's RPC worker has all GPUs of that node in the inventory's order, behind them its CPU where the plan uses that,
 * and the CPU alone where it has no GPU. Pure.
 */
export function specOfPlan(
  instance: PlanInstance,
  inventory: Inventory,
  base: SpecBase,
  places: SpecPlaces = {},
): InstanceSpec {
  const { contextLength, slots, kvCacheType, parts } = instance
  const common = { ...base, contextLength, slots, kvCacheType }
  const gpus = parts.filter(({ kind, remote }) => kind === 'gpu' || remote)
  if (gpus.length === 0) return { ...common, gpuLayers: 0 }
  switch (instance.engine) {
    case 'llama.cpp':
      return { ...common, ...llamaSplit(instance, gpus, inventory, places) }
    case 'embedded':
    case 'ollama':
      return { ...common, gpuLayers: countLayers(gpus), ...visible(gpus, inventory, base) }
    default:
      return {
        ...common,
        gpuLayers: 'auto',
        parallel: parallelOf(instance, gpus, inventory, places),
        ...ownDevices(
          gpus.filter(({ node }) => node === instance.node),
          inventory,
          base,
        ),
      }
  }
}

type LlamaPart = Pick<
  InstanceSpec,
  'gpuLayers' | 'split' | 'rpcWorkers' | 'rpcDevices' | 'hostExperts' | 'draft'
>

function llamaSplit(
  { node, splitMode, draftDeviceId, parts }: PlanInstance,
  gpus: readonly PlanPart[],
  inventory: Inventory,
  { draftPath, addressOf = workerAddress(inventory) }: SpecPlaces,
): LlamaPart {
  const workers = workersOf(gpus, inventory)
  const nameOf = (deviceId: string) => engineNameOf(deviceId, node, workers, inventory)
  const names = gpus.map(({ deviceId }) => nameOf(deviceId))
  const known = names.filter((name) => name !== undefined)
  const experts = [...new Set(parts.flatMap(({ hostExperts }) => hostExperts))].sort((a, b) => a - b)
  const draftDevice = draftDeviceId === undefined ? 'cpu' : nameOf(draftDeviceId)
  const split: InstanceSplit = {
    mode: gpus.length === 1 ? 'none' : splitMode,
    devices: known,
    weights: gpus.map((part) =>
      splitMode === 'row' || splitMode === 'tensor' ? part.share : layersOf(part),
    ),
  }
  return {
    gpuLayers: splitMode === 'tensor' || splitMode === 'row' ? mostLayers(gpus) : countLayers(gpus),
    // A device that the engine does not name cannot be told to it.
    ...(known.length === names.length && { split }),
    ...(workers.length > 0 && { rpcWorkers: workers.map((worker) => addressOf(worker.node)) }),
    ...(workers.some(({ lendsCpuToo }) => lendsCpuToo) && { rpcDevices: workers.map(lentDevices) }),
    ...(experts.length > 0 && { hostExperts: experts }),
    ...(draftPath !== undefined && {
      draft: { modelPath: draftPath, ...(draftDevice !== undefined && { device: draftDevice }) },
    }),
  }
}

const workerAddress =
  ({ nodes }: Inventory) =>
  (name: string) =>
    nodes.find(({ id }) => id === name)?.address ?? `${name}:${rpcPort}`

/** Layers of a part as llama.cpp counts them: the output head is one. */
const layersOf = ({ layers: [first, end], output }: PlanPart) => end - first + (output ? 1 : 0)

const countLayers = (parts: readonly PlanPart[]) => parts.reduce((sum, part) => sum + layersOf(part), 0)

/** Parts of one stage hold the same layers. */
const mostLayers = (parts: readonly PlanPart[]) =>
  [...Map.groupBy(parts, ({ stage }) => stage).values()].reduce(
    (sum, stage) => sum + Math.max(...stage.map(layersOf)),
    0,
  )

/** A node that lends devices to another, as an instance uses it. */
interface Worker {
  node: string
  devices: readonly PlanDevice[]
  /** Which a worker with GPUs does only where it is told to. */
  lendsCpuToo: boolean
}

function workersOf(gpus: readonly PlanPart[], { devices }: Inventory): Worker[] {
  const remote = gpus.filter((part) => part.remote)
  return [...new Set(remote.map(({ node }) => node))].map((node) => {
    const there = devices.filter((device) => device.node === node)
    const cpu = remote.some(({ deviceId }) => deviceId === node)
    return { node, devices: there, lendsCpuToo: cpu && there.length > 0 }
  })
}

function lentDevices({ devices, lendsCpuToo }: Worker): string[] | undefined {
  const names = devices.flatMap(({ engineName }) => engineName ?? [])
  return lendsCpuToo && names.length === devices.length ? [...names, 'CPU'] : undefined
}

/** `CUDA1` of the own node; `RPC0`, `RPC1`, ... of the workers' devices, one worker after the other. */
function engineNameOf(
  deviceId: string,
  node: string,
  workers: readonly Worker[],
  { devices }: Inventory,
): string | undefined {
  const own = devices.find(({ id }) => id === deviceId)
  if (own && own.node === node) return own.engineName
  let number = 0
  for (const worker of workers) {
    const there = worker.devices.length
    const at = own ? worker.devices.indexOf(own) : worker.node === deviceId ? there : -1
    if (at >= 0) return `RPC${number + at}`
    number += there + (worker.lendsCpuToo || there === 0 ? 1 : 0)
  }
  return undefined
}

function parallelOf(
  { node, tensorSize, pipelineSize, engine }: PlanInstance,
  gpus: readonly PlanPart[],
  inventory: Inventory,
  { addressOf = (name) => name }: SpecPlaces,
): ParallelSpec {
  const stages = [...Map.groupBy(gpus, ({ stage }) => stage).values()]
  const layers = stages.map(([part]) => (part ? part.layers[1] - part.layers[0] : 0))
  const nodes = [node, ...new Set(gpus.map((part) => part.node).filter((other) => other !== node))]
  return {
    tensor: tensorSize,
    pipeline: pipelineSize,
    data: 1,
    ...(pipelineSize > 1 && new Set(layers).size > 1 && { stageLayers: layers }),
    ...(engine === 'exllama' && {
      deviceGb: gpus.map(({ memory }) => Math.ceil((memory.totalBytes / 2 ** 30) * 10) / 10),
    }),
    ...(nodes.length > 1 && {
      nodes: nodes.map((name): ParallelNode => {
        const address = addressOf(name).replace(/:\d+$/, '')
        const own = gpus.filter((part) => part.node === name)
        return { node: name, address, ...ownDevices(own, inventory, {}) }
      }),
    }),
  }
}

/** Leaves the process its devices to see, where its node has others. */
function visible(
  parts: readonly PlanPart[],
  { devices }: Inventory,
  { env = {} }: Pick<InstanceSpec, 'env'>,
): Pick<InstanceSpec, 'env'> {
  const ids = new Set(parts.map(({ deviceId }) => deviceId))
  const nodes = new Set(parts.map(({ node }) => node))
  const there = devices.filter((device) => nodes.has(device.node))
  if (there.every(({ id }) => ids.has(id))) return Object.keys(env).length > 0 ? { env } : {}
  const shown = there.filter(({ id }) => ids.has(id)).map(visibleDevice)
  return { env: { ...visibilityOf(shown), ...env } }
}

/** The same for engines that know one vendor only: what hides the others' devices says nothing to them. */
function ownDevices(
  parts: readonly PlanPart[],
  inventory: Inventory,
  base: Pick<InstanceSpec, 'env'>,
): Pick<InstanceSpec, 'env'> {
  const { env } = visible(parts, inventory, base)
  if (!env) return {}
  const ids = new Set(parts.map(({ deviceId }) => deviceId))
  const vendors = new Set(inventory.devices.filter(({ id }) => ids.has(id)).map(({ vendor }) => vendor))
  const kept = Object.entries(env).filter(
    ([name]) => name in (base.env ?? {}) || [...vendors].some((vendor) => ownVariables[vendor]?.test(name)),
  )
  return { env: Object.fromEntries(kept) }
}

const ownVariables: Readonly<Partial<Record<PlanDevice['vendor'], RegExp>>> = {
  nvidia: /^CUDA_/,
  amd: /^(ROCR|HIP)_/,
  intel: /^(ONEAPI|ZES)_/,
}

function visibleDevice({ id, vendor, engineName, backend }: PlanDevice) {
  const number = /\d+$/.exec(engineName ?? '')?.[0]
  return {
    vendor: backend === 'vulkan' ? ('other' as const) : vendor,
    ...(/^(GPU|MIG)-/.test(id) && { uuid: id }),
    ...(number !== undefined &&
      (backend === 'vulkan' ? { vulkanIndex: Number(number) } : { index: Number(number) })),
  }
}
