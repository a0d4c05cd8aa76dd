import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  getLlama,
  InsufficientMemoryError,
  type Llama,
  type LlamaContext,
  type LlamaEmbeddingContext,
  LlamaLogLevel,
  type LlamaModel,
} from 'node-llama-cpp'
import { DroverError } from '../../inference/index.ts'
import type { InstanceMemory, InstanceSpec } from '../contract.ts'
import { memoryWords } from './memory-words.ts'

/** A model in memory, with the context that generates or the one that embeds. */
export interface LoadedModel {
  llama: Llama
  model: LlamaModel
  context: LlamaContext | undefined
  embedder: LlamaEmbeddingContext | undefined
  memory: InstanceMemory
}

/** Tokens of one native call at most, where the spec does not say; llama.cpp's own default of `n_ubatch`. */
const defaultBatchSize = 512
const logDelayMs = 50

/** Loads what `spec` names. Throws `load_failed` or `insufficient_memory` with llama.cpp's own reason. */
export async function loadModel(
  spec: InstanceSpec,
  threads: number,
  onProgress: () => void,
): Promise<LoadedModel> {
  const complaints: string[] = []
  try {
    const llama = await getLlama({
      // Never compile, never download: what npm brought has to do.
      build: 'never',
      skipDownload: true,
      gpu: spec.gpuLayers === 0 ? false : 'auto',
      maxThreads: threads,
      logLevel: LlamaLogLevel.warn,
      logger: (level, message) => {
        if (level === LlamaLogLevel.error || level === LlamaLogLevel.fatal) complaints.push(message.trim())
        process.stderr.write(`${level}: ${message.trimEnd()}\n`)
      },
    })
    const model = await llama.loadModel({
      modelPath: spec.modelPath,
      gpuLayers: spec.gpuLayers === 'auto' ? fittingLayers(spec) : spec.gpuLayers,
      ...(spec.useMmap !== undefined && { useMmap: spec.useMmap }),
      ...(spec.metadataOverrides && { metadataOverrides: nested(spec.metadataOverrides) }),
      onLoadProgress: onProgress,
    })
    const context = spec.embedding ? undefined : await createContext(model, spec, threads)
    onProgress()
    const embedder = spec.embedding ? await createEmbedder(model, spec, threads) : undefined
    return { llama, model, context, embedder, memory: await memoryOf(llama) }
  } catch (error) {
    // llama.cpp's log comes from another thread, a moment after the failure that it explains.
    await sleep(logDelayMs)
    throw loadError(spec, error, complaints)
  }
}

/** `{ 'a.b': 1 }` as `{ a: { b: 1 } }`, which is how the library has metadata. */
export function nested(flat: Readonly<Record<string, string | number>>): object {
  const root: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(flat)) {
    const path = key.split('.')
    const last = path.pop() ?? ''
    let at = root
    for (const part of path) at = at[part] = (at[part] ?? {}) as Record<string, unknown>
    at[last] = value
  }
  return root
}

function fittingLayers({ contextLength, slots, embedding }: InstanceSpec) {
  return { fitContext: { contextSize: contextLength * slots, embeddingContext: embedding } }
}

function createContext(model: LlamaModel, spec: InstanceSpec, threads: number): Promise<LlamaContext> {
  const kvType = kvCacheType(spec.kvCacheType)
  return model.createContext({
    contextSize: spec.contextLength,
    sequences: spec.slots,
    batchSize: Math.max(spec.batchSize ?? defaultBatchSize, spec.slots),
    threads,
    flashAttention: spec.flashAttention === 'auto' ? 'auto' : spec.flashAttention === 'on',
    failedCreationRemedy: false,
    ...(kvType && { experimentalKvCacheKeyType: kvType, experimentalKvCacheValueType: kvType }),
    ...(spec.adapterPaths.length > 0 && {
      lora: { adapters: spec.adapterPaths.map((filePath) => ({ filePath })) },
    }),
  })
}

/** Encoders see a text as one whole, so the batch has to hold the longest. */
function createEmbedder(
  model: LlamaModel,
  spec: InstanceSpec,
  threads: number,
): Promise<LlamaEmbeddingContext> {
  // The library refuses an input that fills its context to the last token.
  const contextSize = spec.contextLength + 1
  return model.createEmbeddingContext({ contextSize, batchSize: contextSize, threads })
}

const kvCacheTypes = {
  f16: undefined,
  f32: 'F32',
  q8_0: 'Q8_0',
  q5_1: 'Q5_1',
  q5_0: 'Q5_0',
  q4_1: 'Q4_1',
  q4_0: 'Q4_0',
  iq4_nl: 'IQ4_NL',
} as const

function kvCacheType(name: string) {
  if (name in kvCacheTypes) return kvCacheTypes[name as keyof typeof kvCacheTypes]
  const known = Object.keys(kvCacheTypes).join(', ')
  throw new DroverError('load_failed', `unknown KV cache type "${name}"; the embedded engine knows ${known}`)
}

async function memoryOf(llama: Llama): Promise<InstanceMemory> {
  const { gpuVram, cpuRam } = await llama.getLlamaMemoryUsage()
  return { vramBytes: gpuVram, hostBytes: cpuRam }
}

function loadError(spec: InstanceSpec, error: unknown, complaints: readonly string[]): DroverError {
  if (error instanceof DroverError) return error
  const message = error instanceof Error ? error.message : String(error)
  // The library's own sentence is often "Failed to load model"; llama.cpp's log says why.
  const reason = [message, ...complaints.slice(0, 3)].join('; ')
  const outOfMemory = error instanceof InsufficientMemoryError || memoryWords.test(reason)
  return new DroverError(
    outOfMemory ? 'insufficient_memory' : 'load_failed',
    `${spec.modelName} could not be loaded from ${basename(spec.modelPath)}: ${reason}`,
    { cause: error },
  )
}

/** Frees everything, users before what they use. */
export async function disposeModel({ llama, model, context, embedder }: LoadedModel): Promise<void> {
  await context?.dispose()
  await embedder?.dispose()
  await model.dispose()
  await llama.dispose()
}
