import type { Config } from '../config/index.ts'
import type { EngineName, InstanceSpec } from '../engines/index.ts'
import type { Device, Link } from '../hardware/index.ts'
import { DroverError, type ModelOptions, type RoutingWishes } from '../inference/index.ts'
import { ollamaOnly } from '../models/index.ts'
import {
  cacheTypeFor,
  confinementOf,
  engineEnvironment,
  estimateMemory,
  fitInstance,
  type Strategy,
  type WorkerDevice,
} from '../placement/index.ts'
import {
  type DispatchInstance,
  type LoadPlan,
  type LoadWish,
  loadOptionsOf,
  type ResolvedModel,
} from '../routing/index.ts'
import { listsDevices } from './engine-choice.ts'
import type { MemoryBook } from './memory-book.ts'
import { memoryKeyOf, memoryTraitsOf } from './memory-use.ts'
import type { OwnForms } from './model-folders.ts'
import { type LoadConfig, minOf, specOfLayout, spreadOver } from './spread-plan.ts'

const gib = 2 ** 30

/** Ollama's default context by the devices' memory together: large machines get large contexts. */
export function defaultContextLength(devices: readonly WorkerDevice[], gpuOverheadBytes: number): number {
  const vramBytes = devices
    .filter(({ kind }) => kind === 'gpu')
    .reduce((sum, { memoryTotalBytes }) => sum + Math.max(0, memoryTotalBytes - gpuOverheadBytes), 0)
  if (vramBytes >= 47 * gib) return 262_144
  return vramBytes >= 23 * gib ? 32_768 : 4096
}

/** What models are loaded with. */
export interface LoadMeans {
  config: LoadConfig
  engine: EngineName
  book: Pick<MemoryBook, 'correctionsFor' | 'expect'>
  ownForms: OwnForms
  /** As the last scan found them. */
  devices(): readonly WorkerDevice[]
  links(): readonly Link[]
}

/** A wish to load `model`, which plans itself by the memory that it is offered. */
export function wishOf(
  model: ResolvedModel,
  options: ModelOptions,
  asked: Pick<RoutingWishes, 'strategy' | 'profile' | 'tensorSize' | 'pipelineSize'>,
  { config: configured, engine, book, ownForms, devices, links }: LoadMeans,
): LoadWish {
  const { file, stored, capabilities } = model.description
  const ownForm = runsFolders.includes(engine) ? ownForms(stored.displayName) : undefined
  const shape = ownForm?.shape ?? file.shape
  const kvCacheType = ownForm ? configured.kvCacheType : cacheTypeFor(shape, configured.kvCacheType)
  const config = { ...configured, kvCacheType }
  const reason = listsDevices(engine) ? ollamaOnly(file) : undefined
  if (reason) {
    throw new DroverError(
      'unsupported',
      `model "${stored.displayName}" is laid out for Ollama's own loader (${reason}), which no engine here has: pull ` +
        "its publisher's GGUF (hf.co/USER/REPOSITORY) in its place, or run this one with Ollama",
    )
  }
  const load = loadOptionsOf(options, file.shape.contextLength)
  const embedding = !capabilities.includes('completion')
  const runOf = (where: readonly WorkerDevice[]) => ({
    kvCacheType: config.kvCacheType,
    batchSize: load.batchSize,
    flashAttention: config.flashAttention,
    embedding,
    ...memoryTraitsOf(where, engine),
  })
  const usualContext = () => config.contextLength ?? defaultContextLength(devices(), config.gpuOverheadBytes)
  const correctionsOn = (where: readonly WorkerDevice[]) =>
    book.correctionsFor(memoryKeyOf(model, where, engine))
  const plan: LoadWish['plan'] = (budgetBytes, caps) => {
    const byDefault = usualContext()
    const slots = minOf(config.numParallel, caps.slots)
    const fitted = fitInstance({
      modelName: stored.displayName,
      shape,
      budgetBytes,
      wanted: { contextLength: load.contextLength, slots },
      defaultContextLength: Math.min(byDefault, caps.contextLength ?? byDefault),
      ...runOf(devices()),
      corrections: correctionsOn(devices()),
    })
    if (!fitted.ok) return fitted
    const { contextLength, memory } = fitted
    return {
      ok: true,
      plan: { contextLength, slots: fitted.slots, bytes: memory.totalBytes, options: load },
    }
  }
  const prefers = strategyOf(config, asked.strategy)
  return {
    key: model.key,
    modelName: stored.displayName,
    options: load,
    plan,
    ...(prefers !== undefined && { prefers }),
    ...mostOf(config),
    spread: (offer, caps) =>
      spreadOver(
        { model, ownForm, plan, load, usualContext: usualContext(), asked },
        { config, engine, devices: devices(), links: links(), corrections: correctionsOn(devices()) },
        offer,
        caps,
      ),
    spec: (plan, instanceId, deviceIds) => {
      const chosen = devices().filter(({ id }) => deviceIds.includes(id))
      if (chosen.length < deviceIds.length) {
        throw new DroverError('engine_crashed', `a device is gone: ${deviceIds.join(', ')}`)
      }
      const whole = specOf(model, plan, instanceId, config, chosen)
      const where = { devices: devices(), links: links(), engine, config }
      const spec = plan.layout ? specOfLayout(plan.layout, whole, where) : whole
      const run = { ...runOf(chosen), contextLength: spec.contextLength, slots: spec.slots }
      book.expect(instanceId, memoryKeyOf(model, chosen, engine), estimateMemory(shape, run))
      return spec
    },
    traits: (deviceIds) => {
      const chosen = devices().filter(({ id }) => deviceIds.includes(id))
      return instanceTraits(model, chosen, engine)
    },
  }
}

/** What a model needs of an engine. */
export function needsOf({ description: { stored, capabilities } }: ResolvedModel) {
  return {
    modelName: stored.displayName,
    embedding: !capabilities.includes('completion'),
    projectorPaths: stored.projectorPaths,
    adapterPaths: stored.adapterPaths,
  }
}

/** Engines that have models in folders of their own form. */
const runsFolders: readonly EngineName[] = ['vllm', 'sglang', 'exllama']

/** What the request asks for goes before the configuration, but where that keeps each instance on one device. */
function strategyOf({ multiGpu }: Config, asked: Strategy | undefined): Strategy | undefined {
  return multiGpu.enabled && multiGpu.memory.pooling ? (asked ?? multiGpu.strategy) : 'single'
}

/** Instances of a model at most, with the strategies that have several. */
function mostOf({ multiGpu: { strategy, dataParallel } }: Config): Pick<LoadWish, 'most'> {
  const { replicas } = dataParallel
  const copies = strategy === undefined || strategy === 'data' || strategy === 'hybrid'
  return copies && replicas !== undefined ? { most: replicas } : {}
}

function specOf(
  model: ResolvedModel,
  plan: LoadPlan,
  instanceId: string,
  config: LoadConfig,
  devices: readonly WorkerDevice[],
): InstanceSpec {
  const { file, stored } = model.description
  const { batchSize, gpuLayers, useMmap, threads } = plan.options
  const [device] = devices
  const port = devices.length === 1 ? device?.settings.port : undefined
  const onCpu = devices.every(({ kind }) => kind === 'cpu')
  const { env, ...confined } = confinementOf(devices.filter(({ kind }) => kind !== 'rpc'))
  return {
    id: instanceId,
    ...needsOf(model),
    modelPath: stored.modelPath,
    ...(file.overrides && { metadataOverrides: file.overrides }),
    contextLength: plan.contextLength,
    slots: plan.slots,
    gpuLayers: gpuLayers ?? (onCpu ? 0 : 'auto'),
    ...(stored.draftPath !== undefined && { draft: { modelPath: stored.draftPath } }),
    ...confined,
    env: { ...env, ...engineEnvironment(config.multiGpu) },
    ...lentPart(devices),
    ...(port !== undefined && { port }),
    flashAttention: config.flashAttention,
    kvCacheType: config.kvCacheType,
    // Always on: a request that forbids it is held to its context by its token limit, without a reload.
    contextShift: true,
    stallTimeoutMs: config.loadStallTimeoutMs,
    ...(config.sessionDir !== undefined && { sessionDir: config.sessionDir }),
    ...(threads !== undefined && { threads }),
    ...(batchSize !== undefined && { batchSize }),
    ...(useMmap !== undefined && { useMmap }),
  }
}

/** An instance that lies on a device of another machine as a whole; how it lies on several a plan says. */
function lentPart([device, ...more]: readonly WorkerDevice[]): Partial<InstanceSpec> {
  const { rpc } = device ?? {}
  if (!rpc || more.length > 0) return {}
  const split = { mode: 'none' as const, devices: [`RPC${rpc.position}`], weights: [1] }
  return { gpuLayers: 'auto', rpcWorkers: [rpc.address], split }
}

/** What routing can know of an instance before it has done anything: what its devices are. */
function instanceTraits(
  model: ResolvedModel,
  devices: readonly WorkerDevice[],
  engine: EngineName,
): Partial<DispatchInstance> {
  const names = devices.map(({ device }) => device.name).toSorted()
  const watts = sumOf(devices.map(({ device, settings }) => settings.watts ?? device.facts.tdpWatts?.value))
  const bandwidth = sumOf(devices.map(({ device }) => device.facts.bandwidthGBs?.value))
  const tflops = sumOf(devices.map(({ device }) => device.facts.tflops.fp16?.value))
  return {
    kind: `${engine} on ${names.join(' + ')}`,
    modelBytes: model.description.file.shape.weightBytes,
    ...(watts !== undefined && { watts }),
    ...(bandwidth !== undefined && { memoryBytesPerS: bandwidth * 1e9 }),
    ...(tflops !== undefined && { flopsPerS: tflops * 1e12 }),
    labels: Object.assign(
      { engine },
      ...devices.map(({ device, kind, settings }) => ({ vendor: device.vendor, kind, ...settings.labels })),
    ),
    capabilities: model.description.capabilities,
    precisions: precisions.filter((one) => devices.every(({ device }) => computesIn(device, one))),
    ...setByOperator(devices),
  }
}

const precisions = ['fp32', 'fp16', 'bf16'] as const

function computesIn({ facts }: Device, precision: (typeof precisions)[number]): boolean {
  return precision === 'fp32' || facts.supports[precision] === true
}

/** Weight, price and tenants: of several devices the sum, the dearest, and whom all of them take. */
function setByOperator(devices: readonly WorkerDevice[]): Partial<DispatchInstance> {
  const settings = devices.map((device) => device.settings)
  const costs = settings.flatMap(({ cost }) => cost ?? [])
  const tenants = settings.flatMap((one) => (one.tenants ? [new Set(one.tenants)] : []))
  return {
    weight: settings.reduce((sum, { weight = 1 }) => sum + weight, 0) / Math.max(1, settings.length),
    ...(costs.length > 0 && { costPerMillionTokens: Math.max(...costs) }),
    ...(tenants.length > 0 && {
      tenants: [...(tenants[0] ?? [])].filter((tenant) => tenants.every((set) => set.has(tenant))),
    }),
  }
}

/** Undefined where one of them is not known. */
function sumOf(values: readonly (number | undefined)[]): number | undefined {
  return values.reduce(
    (sum, value) => (sum === undefined || value === undefined ? undefined : sum + value),
    values.length > 0 ? 0 : undefined,
  )
}
