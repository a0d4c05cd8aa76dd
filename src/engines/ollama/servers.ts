import type { InstanceExit, InstanceSpec } from '../contract.ts'
import { attach } from './attached.ts'
import type { OllamaServer, ServerOptions } from './server.ts'
import { spawnServer } from './spawned.ts'

/** A server as one instance has it. */
export interface HeldServer {
  server: OllamaServer
  /** Calls back when the server has gone, unless it was released before. */
  onGone(listener: (exit: InstanceExit) => void): void
  /** Counts one more instance of a model here. The function returned uncounts it, and says whether it was the last. */
  enterModel(model: string): () => boolean
  /** Whether others hold it too. */
  shared(): boolean
  /** Lets it go; who is last stops it. Resolves when that is done. */
  release(graceMs?: number): Promise<void>
}

/** Where instances find their servers. */
export interface Servers {
  /** The servers that an instance may run in, best first. */
  candidates(spec: InstanceSpec): string[]
  /** Starts or attaches one of them, or joins who has it already. Throws as `Engine.launch` does. */
  hold(key: string, spec: InstanceSpec, signal: AbortSignal): Promise<HeldServer>
}

interface Entry {
  holders: number
  started: Promise<OllamaServer>
  /** Ends a start that nobody waits for any more. */
  abandon: AbortController
  /** Instances by their model. */
  models: Map<string, number>
  goneListeners: Set<(exit: InstanceExit) => void>
}

/** The variable by which a spec names the attached server it wants. */
const hostVariable = 'OLLAMA_HOST'

/** One server a device set: those of Drover's own by what they see, attached ones by their URL. */
export function createServers(options: ServerOptions): Servers {
  const { attachUrls } = options
  const entries = new Map<string, Entry>()
  /** Servers that are being stopped, whose memory the next one of the device set waits for. */
  const ending = new Map<string, Promise<void>>()
  const ports = new Set<number>()

  function open(key: string, spec: InstanceSpec, signal: AbortSignal): Promise<OllamaServer> {
    return attachUrls.length > 0 ? attach(key, signal) : spawnServer(spec, { ...options, ports }, signal)
  }

  function enter(key: string, spec: InstanceSpec): Entry {
    const existing = entries.get(key)
    if (existing) return existing
    const abandon = new AbortController()
    const before = ending.get(key) ?? Promise.resolve()
    const started = before.then(() => open(key, spec, abandon.signal))
    const entry: Entry = { holders: 0, started, abandon, models: new Map(), goneListeners: new Set() }
    entries.set(key, entry)
    const forget = () => {
      if (entries.get(key) === entry) entries.delete(key)
    }
    started.then(async (server) => {
      const exit = await server.gone
      forget()
      for (const listener of entry.goneListeners) listener(exit)
    }, forget)
    return entry
  }

  function leave(key: string, entry: Entry, graceMs: number): Promise<void> {
    entry.holders--
    if (entry.holders > 0) return Promise.resolve()
    if (entries.get(key) === entry) entries.delete(key)
    entry.abandon.abort(new Error('nobody waits for it any more'))
    const stopped = entry.started
      .then(
        (server) => server.stop(graceMs),
        // A start that failed has left nothing.
        () => undefined,
      )
      .finally(() => {
        if (ending.get(key) === stopped) ending.delete(key)
      })
    ending.set(key, stopped)
    return stopped
  }

  return {
    candidates(spec) {
      if (attachUrls.length === 0) return [deviceSetOf(spec)]
      const wanted = spec.env?.[hostVariable]
      if (wanted !== undefined) return attachUrls.filter((url) => sameUrl(url, wanted))
      const instances = (url: string) => entries.get(url)?.holders ?? 0
      return attachUrls.toSorted((a, b) => instances(a) - instances(b))
    },

    async hold(key, spec, signal) {
      signal.throwIfAborted()
      const entry = enter(key, spec)
      entry.holders++
      const own = new Set<(exit: InstanceExit) => void>()
      let held = true
      const release = (graceMs = 0) => {
        if (!held) return Promise.resolve()
        held = false
        for (const listener of own) entry.goneListeners.delete(listener)
        return leave(key, entry, graceMs)
      }
      try {
        return {
          server: await untilAborted(entry.started, signal),
          onGone(listener) {
            own.add(listener)
            entry.goneListeners.add(listener)
          },
          enterModel: (model) => enterModel(entry.models, model),
          shared: () => entry.holders > 1,
          release,
        }
      } catch (error) {
        await release()
        throw error
      }
    },
  }
}

function enterModel(models: Map<string, number>, model: string): () => boolean {
  models.set(model, (models.get(model) ?? 0) + 1)
  let entered = true
  return () => {
    if (!entered) return false
    entered = false
    const left = (models.get(model) ?? 1) - 1
    if (left > 0) models.set(model, left)
    else models.delete(model)
    return left === 0
  }
}

/** What a process sees and where it runs, as one text. */
function deviceSetOf({ env = {}, cores = [] }: InstanceSpec): string {
  const sorted = Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([sorted, [...cores].sort((a, b) => a - b)])
}

function sameUrl(a: string, b: string): boolean {
  return a.replace(/\/+$/, '') === b.replace(/\/+$/, '')
}

/** The promise, or the signal's reason as soon as it aborts. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
