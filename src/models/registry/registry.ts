import { type Clock, systemClock } from '../../core/index.ts'
import { DroverError } from '../../inference/index.ts'
import type { Logger } from '../../observability/index.ts'
import type { ModelStore, Progress, Registry } from '../contract.ts'
import { storeUnreadable } from '../files.ts'
import { loadSigningKey, type SigningKey } from '../keys.ts'
import { createClient, type Tokens } from './client.ts'
import { isDiskError } from './download.ts'
import { createHttp } from './http.ts'
import { inspectModel, listTags } from './inspect.ts'
import { pullModel } from './pull.ts'
import { pushModel } from './push.ts'
import type { RemoteModel } from './remote-name.ts'
import { defaultSettings, type TransferSettings } from './settings.ts'
import { createSharedDownloads } from './shared-downloads.ts'

export interface RegistryOptions {
  store: Pick<ModelStore, 'root' | 'find' | 'writeManifest'>
  /** `~/.ollama/id_ed25519`: read, or made, when a registry asks who is there. */
  keyPath: string
  /** The version of Ollama to introduce oneself with: registries refuse models that need a newer one. */
  version: string
  log: Pick<Logger, 'info' | 'warn'>
  /** Removes those of these blobs that no manifest uses. Absent: what a pull replaces stays. */
  removeUnused?: (digests: readonly string[]) => Promise<void>
  clock?: Clock
  /** Laid over the defaults. */
  settings?: Partial<TransferSettings>
}

/**
 * Pulls and pushes models by Ollama's registry protocol. A pull throws `invalid_request` for a name that is none,
 * `store_unreadable` where the disk is full or cannot be written, and `internal` with the registry's, or Ollama's, own
 * words for everything that the other side did; what was fetched till then is resumed by the next one, Ollama's as well.
 */
export function createRegistry(options: RegistryOptions): Registry {
  const { store, log, clock = systemClock } = options
  const settings = { ...defaultSettings, ...options.settings }
  const context = { settings, clock, log }
  const http = createHttp(userAgent(options.version), settings.stallTimeoutMs)
  const tokens: Tokens = new Map()
  let key: Promise<SigningKey> | undefined
  const loadKey = () => {
    key ??= loadSigningKey(options.keyPath)
    key.catch(() => {
      key = undefined
    })
    return key
  }
  const connect = (remote: RemoteModel) => createClient(http, tokens, loadKey, remote)
  const downloads = createSharedDownloads(context, store.root)
  const { removeUnused } = options
  return {
    pull: (name, wishes, signal) =>
      withClientErrors(
        store.root,
        signal,
        pullModel({ ...context, store, connect, downloads, removeUnused }, name, wishes, signal),
      ),
    push: (name, wishes, signal) =>
      withClientErrors(store.root, signal, pushModel({ ...context, store, connect }, name, wishes, signal)),
    tags: (name, wishes, signal) =>
      asClientError(signal, listTags({ ...context, connect }, name, wishes, signal)),
    inspect: (name, wishes, signal) =>
      asClientError(signal, inspectModel({ ...context, connect }, name, wishes, signal)),
  }
}

/** Turns what is thrown into what a client may read. */
async function* withClientErrors(
  root: string,
  signal: AbortSignal,
  progress: AsyncIterable<Progress>,
): AsyncGenerator<Progress> {
  try {
    yield* progress
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof DroverError) throw error
    if (isDiskError(error)) throw storeUnreadable(root, error)
    throw new DroverError('internal', error instanceof Error ? error.message : String(error), {
      cause: error,
    })
  }
}

/** The same for an answer at once. */
async function asClientError<T>(signal: AbortSignal, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof DroverError) throw error
    throw new DroverError('internal', error instanceof Error ? error.message : String(error), {
      cause: error,
    })
  }
}

/** As Ollama introduces itself, in Go's words for the machine; registries read the version out of it. */
function userAgent(version: string): string {
  const architectures: Record<string, string> = { x64: 'amd64', ia32: '386' }
  const architecture = architectures[process.arch] ?? process.arch
  const system = process.platform === 'win32' ? 'windows' : process.platform
  return `ollama/${version} (${architecture} ${system}) Go/go1.26 Drover`
}
