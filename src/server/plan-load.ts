import type { Config } from '../config/index.ts'
import type { EngineName, InstanceSpec } from '../engines/index.ts'
import { DroverError, type ModelOptions } from '../inference/index.ts'
import { ollamaOnly } from '../models/index.ts'
import { confinementOf, fitInstance, type WorkerDevice } from '../placement/index.ts'
import { type LoadPlan, type LoadWish, loadOptionsOf, type ResolvedModel } from '../routing/index.ts'

const gib = 2 ** 30

/** Ollama's default context by the devices' memory together: large machines get large contexts. */
export function defaultContextLength(devices: readonly WorkerDevice[], gpuOverheadBytes: number): number {
  const vramBytes = devices
    .filter(({ kind }) => kind === 'gpu')
    .reduce((sum, { memoryTotalBytes }) => sum + Math.max(0, memoryTotalBytes - gpuOverheadBytes), 0)
  if (vramBytes >= 47 * gib) return 262_144
  return vramBytes >= 23 * gib ? 32_768 : 4096
}

/** A wish to load `model`, which plans itself by the memory that it is offered. */
export function wishOf(
  model: ResolvedModel,
  options: ModelOptions,
  config: Config,
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
  config: Config,
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
    ...(threads !== undefined && { threads }),
    ...(batchSize !== undefined && { batchSize }),
    ...(useMmap !== undefined && { useMmap }),
  }
}
