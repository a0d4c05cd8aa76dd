import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DroverError } from '../../inference/index.ts'
import type { EngineInstance, InstanceMemory, InstanceSpec } from '../contract.ts'
import { OllamaError, wordsOf } from './client.ts'
import { type ModelSettings, settingsOf } from './completion.ts'
import { loadError } from './errors.ts'
import { createInstance } from './instance.ts'
import { serverVersion } from './probe.ts'
import { endSoon, type OllamaServer } from './server.ts'
import type { Servers } from './servers.ts'
import { isSameName, type RunningModel, unload } from './unload.ts'
import type { Vocabularies } from './vocabulary.ts'

export interface LaunchContext {
  servers: Servers
  vocabularies: Vocabularies
  /** Sent with every request. */
  keepAlive: string | number
  log(message: string): void
}

const lookEveryMs = 1_000
/** How long a failed launch waits for the server to take its word that the model is not wanted. */
const unloadTimeoutMs = 5_000

/** Loads the model in the first of its servers that has it; see `Engine.launch` for the errors. */
export async function launchModel(
  spec: InstanceSpec,
  context: LaunchContext,
  signal: AbortSignal,
): Promise<EngineInstance> {
  const candidates = context.servers.candidates(spec)
  if (candidates.length === 0) {
    const wanted = spec.env?.['OLLAMA_HOST']
    throw new DroverError('load_failed', `no attached Ollama has the URL ${wanted}: correct it, or attach it`)
  }
  const refusals: unknown[] = []
  for (const key of candidates) {
    try {
      return await launchIn(key, spec, context, signal)
    } catch (error) {
      signal.throwIfAborted()
      refusals.push(error)
    }
  }
  if (refusals.length === 1) throw refusals[0]
  const noMemory = refusals.every(
    (error) => error instanceof DroverError && error.code === 'insufficient_memory',
  )
  const code = noMemory ? 'insufficient_memory' : 'load_failed'
  throw new DroverError(code, refusals.map(wordsOf).join('; '))
}

async function launchIn(
  key: string,
  spec: InstanceSpec,
  context: LaunchContext,
  signal: AbortSignal,
): Promise<EngineInstance> {
  const held = await context.servers.hold(key, spec, signal)
  const { server } = held
  const settings = settingsOf(spec, context.keepAlive)
  const leaveModel = held.enterModel(spec.modelName)
  try {
    const { memory, contextLength } = await whileAnswering(server, spec, signal, async (either) => {
      await checkModel(server, spec, either)
      await load(server, spec, settings, either)
      return factsOf(server, spec, either)
    })
    server.forgetOutput()
    return createInstance({ spec, settings, held, leaveModel, memory, contextLength, ...context })
  } catch (error) {
    const last = leaveModel()
    // A process that nobody else uses ends, with all that it has loaded.
    if (last && (server.pid === 0 || held.shared())) await unload(server, spec.modelName, unloadTimeoutMs)
    await held.release()
    throw error
  }
}

/** The server has the model, and it is the one that Drover means. */
async function checkModel(server: OllamaServer, spec: InstanceSpec, signal: AbortSignal): Promise<void> {
  const { modelName, modelPath } = spec
  const shown = (await ask(server, spec, signal, '/api/show', { model: modelName })) as {
    modelfile?: unknown
  }
  // Each of the file's blobs is named by its digest, in this store and in the server's.
  const theirs = /^FROM .*(sha256-[0-9a-f]{64})\s*$/m.exec(String(shown.modelfile ?? ''))?.[1]
  const ours = /^sha256-[0-9a-f]{64}$/.exec(basename(modelPath))?.[0]
  if (theirs !== undefined && ours !== undefined && theirs !== ours) {
    throw new DroverError(
      'load_failed',
      `the Ollama at ${server.url} has another ${modelName} (${theirs.slice(0, 19)}) than Drover ` +
        `(${ours.slice(0, 19)}): pull it again on both`,
    )
  }
}

/** What loads a model is a request without a prompt, of the kind that the model can answer. */
async function load(
  server: OllamaServer,
  spec: InstanceSpec,
  settings: ModelSettings,
  signal: AbortSignal,
): Promise<void> {
  if (spec.embedding) await ask(server, spec, signal, '/api/embed', { ...settings, input: [] })
  else {
    const body = { ...settings, stream: false, think: false, shift: spec.contextShift }
    await ask(server, spec, signal, '/api/generate', body)
  }
}

/**
 * Does the work of a launch. A load that stands still the server itself gives up (`OLLAMA_LOAD_TIMEOUT`); here a server
 * is given up that says nothing at all for as long.
 */
async function whileAnswering<T>(
  server: OllamaServer,
  spec: InstanceSpec,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const done = new AbortController()
  const silent = new AbortController()
  untilSilent(server, spec.stallTimeoutMs, done.signal).then((isSilent) => {
    if (isSilent) silent.abort()
  })
  try {
    return await work(AbortSignal.any([signal, silent.signal]))
  } catch (error) {
    if (!silent.signal.aborted || signal.aborted) throw error
    const words = `it did not answer for ${Math.round(spec.stallTimeoutMs)} ms`
    server.kill(words)
    throw new DroverError(
      'load_stalled',
      `the Ollama at ${server.url} stalled while it loaded ${spec.modelName}: ${words}`,
    )
  } finally {
    done.abort()
  }
}

/** True once the server has not told its version for so long; false when the signal aborts before. */
async function untilSilent(server: OllamaServer, limitMs: number, signal: AbortSignal): Promise<boolean> {
  let lastMs = performance.now()
  while (!signal.aborted && performance.now() - lastMs <= limitMs) {
    try {
      await serverVersion(server.client)
      lastMs = performance.now()
    } catch {
      // The time since its last answer is what counts.
    }
    await Promise.race([sleep(Math.min(lookEveryMs, limitMs), undefined, { ref: false }), aborted(signal)])
  }
  return !signal.aborted
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

async function ask(
  server: OllamaServer,
  spec: InstanceSpec,
  signal: AbortSignal,
  path: string,
  body: object,
): Promise<unknown> {
  try {
    return await server.client.json('POST', path, body, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof OllamaError) {
      const missing = error.status === 404 && path === '/api/show'
      throw missing ? notThere(server, spec) : loadError(error, spec.modelName, server.url)
    }
    // A connection that breaks is most often the first sign of the server's end, which says more.
    const exit = await endSoon(server)
    throw new DroverError(
      exit?.kind === 'out_of_memory' ? 'insufficient_memory' : 'load_failed',
      `the Ollama at ${server.url} broke off while it loaded ${spec.modelName}: ${exit?.reason ?? wordsOf(error)}`,
      { cause: error },
    )
  }
}

function notThere(server: OllamaServer, { modelName }: InstanceSpec): DroverError {
  return new DroverError(
    'load_failed',
    `the Ollama at ${server.url} has no model ${modelName}: pull it there ` +
      `(OLLAMA_HOST=${server.url} ollama pull ${modelName})`,
  )
}

interface LoadedFacts {
  memory: InstanceMemory
  contextLength: number
}

/** What `/api/ps` tells of the model; older servers leave the context out. */
async function factsOf(server: OllamaServer, spec: InstanceSpec, signal: AbortSignal): Promise<LoadedFacts> {
  const { models = [] } = (await server.client.json('GET', '/api/ps', undefined, signal)) as {
    models?: RunningModel[]
  }
  const loaded = models.find(({ name = '' }) => isSameName(name, spec.modelName))
  const { size = 0, size_vram: vramBytes = 0 } = loaded ?? {}
  return {
    memory: { vramBytes, hostBytes: Math.max(0, size - vramBytes) },
    contextLength: loaded?.context_length || spec.contextLength,
  }
}
