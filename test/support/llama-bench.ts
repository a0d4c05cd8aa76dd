import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type {
  CompletionRequest,
  Engine,
  EngineEvent,
  EngineInstance,
  InstanceSpec,
} from '../../src/engines/index.ts'
import { createLlamaCppEngine } from '../../src/engines/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { ensureLlamaServer, testEnginesDir } from './llama-server.ts'

/** A signal that never aborts. */
export const never = new AbortController().signal

/** A folder with a synthetic model, and the real `llama-server`. */
export interface LlamaBench {
  folder: string
  modelPath: string
  serverPath: string
  /** An engine whose sockets lie in `<folder>/<runName>`; `path` in place of the real server. */
  engineIn(runName: string, path?: string): Engine
  spec(changes?: Partial<InstanceSpec>): InstanceSpec
  remove(): Promise<void>
}

export async function openLlamaBench(): Promise<LlamaBench> {
  const folder = await mkdtemp(join(tmpdir(), 'drover-llama-'))
  const modelPath = join(folder, 'model.gguf')
  await writeSyntheticGguf(modelPath, { seed: 7 })
  const serverPath = await ensureLlamaServer()
  return {
    folder,
    modelPath,
    serverPath,
    engineIn: (runName, path = serverPath) =>
      createLlamaCppEngine({
        serverPath: path,
        enginesDir: testEnginesDir,
        runDir: join(folder, runName),
        log: () => undefined,
      }),
    spec: (changes = {}) => ({
      id: 'test',
      modelName: 'synthetic',
      modelPath,
      projectorPaths: [],
      adapterPaths: [],
      contextLength: 512,
      slots: 4,
      embedding: false,
      gpuLayers: 'auto',
      threads: 1,
      flashAttention: 'auto',
      kvCacheType: 'f16',
      contextShift: true,
      stallTimeoutMs: 20_000,
      ...changes,
    }),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

/** A short greedy answer, with changes. */
export function request(changes: Partial<CompletionRequest> = {}): CompletionRequest {
  return {
    prompt: 'the sheep',
    maxTokens: 24,
    stop: [],
    ...changes,
    sampling: {
      num_keep: 4,
      seed: 1,
      temperature: 0,
      top_k: 40,
      top_p: 0.9,
      min_p: 0,
      typical_p: 1,
      repeat_last_n: 64,
      repeat_penalty: 1,
      presence_penalty: 0,
      frequency_penalty: 0,
      ...changes.sampling,
    },
  }
}

/** Random weights end an answer anywhere; this makes one of at least 1,500 characters. */
export const longAnswer = { format: { type: 'string', minLength: 1500 } }

export const atTemperature = (temperature: number, seed: number): CompletionRequest['sampling'] => ({
  ...request().sampling,
  temperature,
  seed,
})

/** Reads a whole answer. */
export async function answerOf(
  from: EngineInstance,
  changes: Partial<CompletionRequest> = {},
  signal: AbortSignal = never,
) {
  const events: EngineEvent[] = []
  for await (const event of from.generate(request(changes), signal)) events.push(event)
  const tokens = events.filter((event) => event.type === 'token')
  const done = events.at(-1)
  if (done?.type !== 'done') throw new Error('the answer did not end with done')
  return {
    events,
    done,
    text: tokens.map(({ text }) => text).join(''),
    tokens: tokens.flatMap((event) => event.tokens),
  }
}

/** Starts a long answer; `begun` resolves at its first token, `ended` with the error that ends it. */
export function begin(from: EngineInstance): { begun: Promise<void>; ended: Promise<unknown> } {
  let onBegun: () => void = () => undefined
  const begun = new Promise<void>((resolve) => {
    onBegun = resolve
  })
  const read = async () => {
    for await (const event of from.generate(request({ ...longAnswer, maxTokens: 100_000 }), never)) {
      if (event.type === 'token') onBegun()
    }
  }
  return { begun, ended: read().catch((error) => error) }
}
