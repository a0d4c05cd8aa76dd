import type { Config } from '../config/index.ts'
import type { EngineName, InstanceSpec } from '../engines/index.ts'
import type { Link } from '../hardware/index.ts'
import type { RoutingWishes } from '../inference/index.ts'
import {
  type Corrections,
  costsOf,
  engineEnvironment,
  type Inventory,
  inventoryWithLent,
  type PlanInstance,
  type PlanModel,
  type PlanWishes,
  planModel,
  planModelOf,
  specOfPlan,
  type WorkerDevice,
  wishesFrom,
} from '../placement/index.ts'
import type { LoadOptions, LoadWish, ResolvedModel } from '../routing/index.ts'
import type { OwnForm } from './model-folders.ts'

/** The configuration, and the folder of saved caches where there is one. */
export type LoadConfig = Config & { sessionDir: string | undefined }

/** What there is to lay a model on, as it is now. */
export interface SpreadMeans {
  config: LoadConfig
  engine: EngineName
  devices: readonly WorkerDevice[]
  links: readonly Link[]
  corrections: Corrections | undefined
}

/** What is to be laid out. */
export interface SpreadSubject {
  model: ResolvedModel
  /** The model as the engine itself has it, where that is not the store's file. */
  ownForm: OwnForm | undefined
  plan: LoadWish['plan']
  load: LoadOptions
  /** Tokens of a slot where none were asked for. */
  usualContext: number
  /** What its request asks for beside the strategy. */
  asked: Pick<RoutingWishes, 'profile' | 'tensorSize' | 'pipelineSize'>
}

type Spread = LoadWish['spread']
type Offer = Parameters<Spread>[0]
type Caps = Parameters<Spread>[1]

/** Where the CPU is not offered, what lies in host memory beside the GPUs' parts is not weighed. */
const unweighedBytes = Number.MAX_SAFE_INTEGER

/** Engines that are told how a model is divided, with what they run. */
const plannedFormats: Readonly<Partial<Record<EngineName, PlanModel['format']>>> = {
  'llama.cpp': 'gguf',
  vllm: 'safetensors',
  sglang: 'safetensors',
  exllama: 'exl',
}

/**
 * Lays a model over the devices that are offered, by the planner; over CPUs only, and on engines that divide models by
 * themselves, each device has a share by what it has free.
 */
export function spreadOver(
  subject: SpreadSubject,
  means: SpreadMeans,
  offer: Offer,
  caps: Caps,
): ReturnType<Spread> {
  const { engine, devices, links, corrections } = means
  const offered = new Map(offer.devices.map(({ deviceId, bytes }) => [deviceId, bytes]))
  const there = devices.filter(({ id }) => offered.has(id))
  const format = plannedFormats[engine]
  // Others are not told which part of a model lies where, or cannot be.
  if (format === undefined || there.every(({ kind }) => kind === 'cpu' || kind === 'server')) {
    return byFreeMemory(subject.plan, means.config, offer, caps)
  }
  const cpu = there.find(({ kind }) => kind === 'cpu')
  const inventory = planInventory(devices, links, engine, {
    usableBytes: ({ id }) => Math.min(offered.get(id) ?? 0, offer.mostBytes),
    hostBytes: cpu ? (offered.get(cpu.id) ?? 0) : unweighedBytes,
  })
  const wishes = wishesOf(subject, means, inventory, offer, caps)
  const usesHost = cpu !== undefined && format === 'gguf'
  const result = planModel(
    { ...modelOf(subject.model), ...subject.ownForm, format },
    inventory,
    { ...wishes, cpuOffload: usesHost, expertOffload: usesHost },
    (planned, run) => costsOf(planned, run, corrections),
  )
  if (!result.ok) return { ok: false, message: result.message }
  const [layout] = result.plans[0].instances
  if (!layout) throw new Error('a plan has no instance')
  const shares = sharesOf(layout, cpu?.id)
  const bytes = shares.reduce((sum, share) => sum + share.bytes, 0)
  if (bytes > offer.mostBytes) {
    return { ok: false, message: `it needs ${bytes} bytes over its devices, and ${offer.mostBytes} are left` }
  }
  const { contextLength, slots } = layout
  return { ok: true, plan: { contextLength, slots, bytes, options: subject.load, layout }, shares }
}

/** What the configuration, the request and earlier failures ask of one instance on the devices that are offered. */
function wishesOf(
  { load, usualContext, asked: { profile, tensorSize, pipelineSize } }: SpreadSubject,
  { config, engine }: SpreadMeans,
  inventory: Inventory,
  offer: Offer,
  caps: Caps,
): PlanWishes {
  const { wishes } = wishesFrom(config.multiGpu, inventory)
  const offered = new Set(offer.devices.map(({ deviceId }) => deviceId))
  const hidden = inventory.devices.filter(({ id }) => !offered.has(id)).map(({ id }) => id)
  const slots = minOf(config.numParallel, caps.slots)
  return {
    ...wishes,
    ...profileOf(profile),
    ...(tensorSize !== undefined && { tensorSize }),
    ...(pipelineSize !== undefined && { pipelineSize }),
    ...(offer.strategy !== undefined && { strategy: offer.strategy }),
    avoid: [...(wishes.avoid ?? []), ...hidden],
    // The lifecycle starts them one by one.
    replicas: 1,
    engines: [engine],
    ...(load.contextLength !== undefined && { contextLength: load.contextLength }),
    defaultContextLength: Math.min(usualContext, caps.contextLength ?? usualContext),
    ...(slots !== undefined && { slots }),
    kvCacheType: config.kvCacheType,
    ...(load.batchSize !== undefined && { batchSize: load.batchSize }),
    flashAttention: config.flashAttention,
  }
}

const modelOf = ({ description: { file, stored, projector, capabilities } }: ResolvedModel) =>
  planModelOf({
    name: stored.displayName,
    file,
    projector,
    embedding: !capabilities.includes('completion'),
  })

function profileOf(profile: RoutingWishes['profile']): Pick<PlanWishes, 'objective' | 'algorithm'> {
  if (profile === 'power') return { algorithm: 'power_aware' }
  return profile === 'latency' || profile === 'throughput' ? { objective: profile } : {}
}

/** What an instance takes of each device; what lies in host memory is the CPU's, where that is a device. */
function sharesOf({ parts, host }: PlanInstance, cpuId: string | undefined) {
  const gpus = parts.filter(({ kind, remote }) => kind === 'gpu' || remote)
  const hostBytes = parts
    .filter(({ kind, remote }) => kind === 'cpu' && !remote)
    .reduce((sum, { memory }) => sum + memory.totalBytes, host.totalBytes)
  const shares = gpus.map(({ deviceId, memory }) => ({ deviceId, bytes: memory.totalBytes }))
  const usesHost = gpus.length < parts.length || parts.some(({ hostExperts }) => hostExperts.length > 0)
  // Buffers alone do not make the CPU one of its devices.
  return cpuId !== undefined && usesHost ? [...shares, { deviceId: cpuId, bytes: hostBytes }] : shares
}

/** The engine divides the model by itself over all of the devices, by what each has free. */
function byFreeMemory(
  plan: LoadWish['plan'],
  { multiGpu }: LoadConfig,
  { devices, mostBytes }: Offer,
  caps: Caps,
): ReturnType<Spread> {
  const pools = multiGpu.enabled && multiGpu.memory.pooling
  const largest = devices.toSorted((a, b) => b.bytes - a.bytes).slice(0, 1)
  const taken = pools ? devices : largest
  const freeBytes = taken.reduce((sum, { bytes }) => sum + bytes, 0)
  const fitted = plan(Math.min(freeBytes, mostBytes), caps)
  if (!fitted.ok) return fitted
  const shares = taken.map((one) => ({ ...one, bytes: (fitted.plan.bytes * one.bytes) / freeBytes }))
  return { ...fitted, shares }
}

/** This machine as the planner knows it, and those that lend it devices. A device that is not offered has no memory. */
function planInventory(
  devices: readonly WorkerDevice[],
  links: readonly Link[],
  engine: EngineName,
  {
    usableBytes,
    hostBytes,
  }: Pick<Required<Parameters<typeof inventoryWithLent>[0]>, 'usableBytes'> & { hostBytes: number },
): Inventory {
  const cpus = devices.filter(({ kind }) => kind === 'cpu')
  const cores = cpus.reduce((sum, { device }) => sum + (device.cores?.length ?? 1), 0)
  return inventoryWithLent({
    node: ownNode,
    devices,
    links,
    engines: [engine],
    rpc: false,
    host: { usableBytes: hostBytes, cores: Math.max(1, cores) },
    usableBytes,
  })
}

const ownNode = 'this machine'

/** What an instance is started with that was laid out by a plan. */
export function specOfLayout(
  layout: PlanInstance,
  { env, cores, gpuLayers: _layers, ...base }: InstanceSpec,
  { devices, links, engine, config }: Pick<SpreadMeans, 'devices' | 'links' | 'engine' | 'config'>,
): InstanceSpec {
  const planned = planInventory(devices, links, engine, {
    usableBytes: ({ memoryTotalBytes }) => memoryTotalBytes,
    hostBytes: unweighedBytes,
  })
  const address = new Map(devices.map(({ id, rpc }) => [id, rpc?.address]))
  const placed = planned.devices.map((device) => ({ ...device, node: address.get(device.id) ?? device.node }))
  const inventory = { ...planned, devices: placed }
  const here = { ...base, ...(cores && { cores }) }
  // Its devices are named as it lists them all: hiding some would give the others new names.
  const shown = { ...here, env: engineEnvironment(config.multiGpu) }
  const spec = specOfPlan(layout, inventory, shown, { addressOf: (address) => address })
  return spec.split ? spec : { ...spec, ...(env && { env }) }
}

export function minOf(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b
  return b === undefined ? a : Math.min(a, b)
}
