import type { Config } from '../config/index.ts'
import type { EngineDevice, InstanceSpec } from '../engines/index.ts'
import { DroverError, type ModelOptions } from '../inference/index.ts'
import { ollamaOnly } from '../models/index.ts'
import { fitInstance } from '../placement/index.ts'
import { type LoadPlan, type LoadWish, loadOptionsOf, type ResolvedModel } from '../routing/index.ts'

const gib = 2 ** 30

/** Ollama's default context by the devices' memory together: large machines get large contexts. */
export function defaultContextLength(devices: readonly EngineDevice[], gpuOverheadBytes: number): number {
  const vramBytes = devices.reduce(
    (sum, device) => sum + Math.max(0, device.totalBytes - gpuOverheadBytes),
    0,
  )
  if (vramBytes >= 47 * gib) return 262_144
  return vramBytes >= 23 * gib ? 32_768 : 4096
}

/** A wish to load `model`, which plans itself by the memory that it is offered. */
export function wishOf(
  model: ResolvedModel,
  options: ModelOptions,
  config: Config,
  devices: readonly EngineDevice[],
): LoadWish {
  const { file, stored, capabilities } = model.description
  const reason = ollamaOnly(file)
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
    plan: (budgetBytes) => {
      const fitted = fitInstance({
        modelName: stored.displayName,
        shape: file.shape,
        budgetBytes,
        embedding,
        wanted: { contextLength: load.contextLength, slots: config.numParallel },
        defaultContextLength: config.contextLength ?? defaultContextLength(devices, config.gpuOverheadBytes),
        kvCacheType: config.kvCacheType,
        batchSize: load.batchSize,
      })
      if (!fitted.ok) return fitted
      const { contextLength, slots, memory } = fitted
      return { ok: true, plan: { contextLength, slots, bytes: memory.totalBytes, options: load } }
    },
    spec: (plan, instanceId) => specOf(model, plan, instanceId, config),
  }
}

function specOf(model: ResolvedModel, plan: LoadPlan, instanceId: string, config: Config): InstanceSpec {
  const { file, stored, capabilities } = model.description
  const { batchSize, gpuLayers, mainGpu, useMmap, threads } = plan.options
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
    gpuLayers: gpuLayers ?? 'auto',
    flashAttention: config.flashAttention,
    kvCacheType: config.kvCacheType,
    // Always on: a request that forbids it is held to its context by its token limit, without a reload.
    contextShift: true,
    stallTimeoutMs: config.loadStallTimeoutMs,
    ...(mainGpu !== undefined && { mainGpu }),
    ...(threads !== undefined && { threads }),
    ...(batchSize !== undefined && { batchSize }),
    ...(useMmap !== undefined && { useMmap }),
  }
}
