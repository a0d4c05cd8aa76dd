import type { ServerKind } from './dialect.ts'

/** A server that runs already, as the configuration names it. */
export interface OpenAiTarget {
  url: string
  /** What speaks there; absent: it is asked. */
  kind?: ServerKind
  /** Drover's name of the model that it serves; absent: those that it lists itself. */
  model?: string
  /** The server's own name of that model; absent: the same, or the only one that it lists. */
  servedAs?: string
  /** The variable with the key that it wants. */
  keyVariable?: string
  /** The variable with the key of its administration (TabbyAPI). */
  adminKeyVariable?: string
  /** Requests at once. */
  slots?: number
  /** Tokens of a slot, where it does not say itself. */
  contextLength?: number
  /** Only conversations are sent, which it renders itself. */
  chatOnly?: boolean
  /** It is laid to sleep when nothing needs it, and woken (vLLM's sleep mode). */
  sleeps?: boolean
  /** Where it publishes the events of its KV cache: `tcp://host:port` or `ipc:///path`. */
  kvEvents?: string
}

/** The variable of a spec's `env` that chooses one of the targets by its URL. */
export const serverVariable = 'DROVER_OPENAI_SERVER'

/** For messages: without a password, and without what is the same for all. */
export function shownUrl(url: string): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname.replace(/\/+$/, '')
}
