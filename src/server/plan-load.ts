import type { Config } from '../config/index.ts'
import type { EngineName, InstanceSpec } from '../engines/index.ts'
import type { Device } from '../hardware/index.ts'
import { DroverError, type ModelOptions } from '../inference/index.ts'
import { ollamaOnly } from '../models/index.ts'
import { confinementOf, fitInstance, type WorkerDevice } from '../placement/index.ts'
import {
  type DispatchInstance,
  type LoadPlan,
  type LoadWish,
  loadOptionsOf,
  type ResolvedModel,
} from '../routing/index.ts'

const gib = 2 ** 30

/** Ollama's default context by the devices' memory together: large machines get large contexts. */
export function defaultContextLength(devices: readonly WorkerDevice[], gpuOverheadBytes: number): number {
  const vramBytes = devices
    .filter(({ kind }) => kind === 'gpu')
    .reduce((sum, { memoryTotalBytes }) => sum + Math.max(0, memoryTotalBytes - gpuOverheadBytes), 0)
  if (vramBytes >= 47 * gib) return 262_144
  return vramBytes >= 23 * gib ? 32_768 : 4096
}

/** The configuration, and the folder of saved caches where there is one. */
export type LoadConfig = Config & { sessionDir: string | undefined }

/** A wish to load `model`, which plans itself by the memory that it is offered. */
export function wishOf(
  model: ResolvedModel,
  options: ModelOptions,
  config: LoadConfig,
  devices: () => readonly WorkerDevice[],
  engine: EngineName,
): LoadWish {
  const { file, stored, capabilities } = model.description
  const reason = engine === 'ollama' ? undefined : ollamaOnly(file)
  if (reason) {
    throw new DroverError(
      'unsupported',
      `model "${stored.displayName}" is laid out for Ollama's own loader (${reason}), which no engine here has: pull ` +
        "its publisher's GGUF (hf.co/USER/REPOSITORY) in its place, or run this one with Ollama",
    )
  }
  const load = loadOptionsOf(options, file.shape.contextLength)
  const embedding = !capabilities.includes('completion')
  return {
    key: model.key,
    modelName: stored.displayName,
    options: load,
    plan: (budgetBytes, caps) => {
      const byDefault = config.contextLength ?? defaultContextLength(devices(), config.gpuOverheadBytes)
      const slots = minOf(config.numParallel, caps.slots)
      const fitted = fitInstance({
        modelName: stored.displayName,
        shape: file.shape,
        budgetBytes,
        embedding,
        wanted: { contextLength: load.contextLength, slots },
        defaultContextLength: Math.min(byDefault, caps.contextLength ?? byDefault),
        kvCacheType: config.kvCacheType,
        batchSize: load.batchSize,
      })
      if (!fitted.ok) return fitted
      const { contextLength, memory } = fitted
      return {
        ok: true,
        plan: { contextLength, slots: fitted.slots, bytes: memory.totalBytes, options: load },
      }
    },
    spec: (plan, instanceId, deviceIds) => {
      const chosen = devices().filter(({ id }) => deviceIds.includes(id))
      if (chosen.length < deviceIds.length) {
        throw new DroverError('engine_crashed', `a device is gone: ${deviceIds.join(', ')}`)
      }
      return specOf(model, plan, instanceId, config, chosen)
    },
    traits: (deviceIds) => {
      const chosen = devices().filter(({ id }) => deviceIds.includes(id))
      return instanceTraits(model, chosen, engine)
    },
  }
}

function minOf(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b
  return b === undefined ? a : Math.min(a, b)
}

function specOf(
  model: ResolvedModel,
  plan: LoadPlan,
  instanceId: string,
  config: LoadConfig,
  devices: readonly WorkerDevice[],
): InstanceSpec {
  const { file, stored, capabilities } = model.description
  const { batchSize, gpuLayers, useMmap, threads } = plan.options
  const [device] = devices
  const port = devices.length === 1 ? device?.settings.port : undefined
  const onCpu = devices.every(({ kind }) => kind === 'cpu')
  return {
    id: instanceId,
    modelName: stored.displayName,
    modelPath: stored.modelPath,
    projectorPaths: stored.projectorPaths,
    adapterPaths: stored.adapterPaths,
    ...(file.overrides && { metadataOverrides: file.overrides }),
    contextLength: plan.contextLength,
    slots: plan.slots,
    embedding: !capabilities.includes('completion'),
    gpuLayers: gpuLayers ?? (onCpu ? 0 : 'auto'),
    ...confinementOf(devices),
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
