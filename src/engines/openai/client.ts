import { type Dispatcher, Pool } from 'undici'
import { createEventSplitter, type ServerEvent } from './events.ts'

/** A refusal in the server's own words, by a status or by an event of the stream. */
export class OpenAiError extends Error {
  /** 200 where the refusal came after the answer had begun. */
  readonly status: number
  /** The server's own class of it (`exceed_context_size_error`), or nothing. */
  readonly type: string
  /** When it wants to be asked again. */
  readonly retryAfterMs: number | undefined

  constructor(status: number, message: string, type = '', retryAfterMs?: number) {
    super(message)
    this.name = 'OpenAiError'
    this.status = status
    this.type = type
    this.retryAfterMs = retryAfterMs
  }
}

/** The HTTP interface of a server. Nothing in it has a deadline of its own: a load or a prefill is silent for long. */
export interface OpenAiClient {
  /** Throws `OpenAiError` for a status that is not 2xx, the connection's error, or the signal's reason. */
  json(method: 'GET' | 'POST', path: string, body?: unknown, signal?: AbortSignal): Promise<unknown>
  /** An answer that is no JSON (metrics). Throws as `json` does. */
  text(path: string, signal?: AbortSignal): Promise<string>
  /**
   * The events of a streamed answer, those of one read together, up to `[DONE]`. The connection is read only as fast as
   * the events are taken; leaving the loop, or the signal, closes it. Throws as `json` does, and for an event that
   * tells an error.
   */
  events(path: string, body: unknown, signal: AbortSignal): AsyncIterable<ServerEvent[]>
  /** Over a connection of its own, which is closed then: one that is kept lives on when no other can be made any more. */
  ping(path: string, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** Where a server is, and what it wants to see of those who ask. */
export interface Access {
  /** `http://10.0.0.5:8000`; what it ends with (`/v1`, `/`) is cut off, for there are routes beside `/v1`. */
  url: string
  apiKey?: string
  /** For routes that load and unload, where they have a key of their own (TabbyAPI). */
  adminKey?: string
}

export function createClient({ url, apiKey, adminKey }: Access): OpenAiClient {
  const { origin, pathname } = new URL(url)
  const prefix = pathname.replace(/\/+$/, '').replace(/\/v1$/, '')
  // As many connections as are asked for: the instances' slots bound what runs at once.
  const pool = new Pool(origin, { pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })
  const headers = {
    'content-type': 'application/json',
    ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    ...(adminKey !== undefined && { 'x-admin-key': adminKey }),
  }

  async function request(method: 'GET' | 'POST', path: string, body?: unknown, signal?: AbortSignal) {
    const response = await sent({
      method,
      path: prefix + path,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    })
    if (response.statusCode >= 200 && response.statusCode < 300) return response.body
    const retryAfter = Number(response.headers['retry-after'])
    const retryAfterMs = Number.isFinite(retryAfter) ? retryAfter * 1000 : undefined
    throw refusal(response.statusCode, await response.body.text(), retryAfterMs)
  }

  /** Asks again where a kept connection was closed at that very moment: nothing of it was read by anybody then. */
  async function sent(options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData> {
    for (let retries = 0; ; retries++) {
      try {
        return await pool.request(options)
      } catch (error) {
        if (retries >= mostRetries || !isStaleConnection(error)) throw error
      }
    }
  }

  return {
    json: async (method, path, body, signal) =>
      parsed(await (await request(method, path, body, signal)).text()),
    text: async (path, signal) => (await request('GET', path, undefined, signal)).text(),
    async *events(path, body, signal) {
      const split = createEventSplitter()
      for await (const chunk of await request('POST', path, body, signal)) {
        const { events, done } = split(chunk)
        for (const event of events) {
          const error = errorIn(200, event)
          if (error) throw error
        }
        if (events.length > 0) yield events
        if (done) return
      }
    },
    async ping(path, signal) {
      const response = await pool.request({
        method: 'GET',
        path: prefix + path,
        headers,
        signal,
        reset: true,
      })
      await response.body.dump()
      if (response.statusCode >= 500)
        throw new OpenAiError(response.statusCode, `${path} tells ${response.statusCode}`)
    },
    close: () => pool.destroy(),
  }
}

/** All of a pool's connections may have grown stale together; after so many it is another matter. */
const mostRetries = 16

function isStaleConnection(error: unknown): boolean {
  const { code } = error as { code?: string }
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE'
}

function parsed(text: string): unknown {
  // Some routes that only do something answer with nothing.
  return text.trim() === '' ? undefined : JSON.parse(text)
}

function refusal(status: number, text: string, retryAfterMs: number | undefined): OpenAiError {
  try {
    const error = errorIn(status, JSON.parse(text))
    if (error) return new OpenAiError(error.status, error.message, error.type, retryAfterMs)
  } catch {
    // Something before the server has answered: its own text has to do.
  }
  return new OpenAiError(status, text.trim() || `status ${status}`, '', retryAfterMs)
}

/**
 * The error that an answer or an event tells: `{"error": {"message", "type", "code"}}` of most, `{"error": "..."}`,
 * `{"object": "error", "message"}` of older vLLM and SGLang, and FastAPI's `{"detail": ...}` with any of them, a text or
 * a list in it.
 */
export function errorIn(status: number, answer: unknown): OpenAiError | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined
  const { error, object, detail } = answer as Record<string, unknown>
  if (typeof error === 'string') return new OpenAiError(status, error)
  if (error) return errorOf(status, error)
  if (object === 'error') return errorOf(status, answer)
  if (detail === undefined || status === 200) return undefined
  if (Array.isArray(detail)) return new OpenAiError(status, detail.map(complaintOf).join('; '))
  return typeof detail === 'string' ? new OpenAiError(status, detail) : errorIn(status, detail)
}

function errorOf(status: number, error: object): OpenAiError {
  const { message, type, code } = error as { message?: unknown; type?: unknown; code?: unknown }
  const known = typeof code === 'number' && code >= 400 && code < 600 ? code : status
  return new OpenAiError(known, String(message ?? JSON.stringify(error)), String(type ?? ''))
}

/** What FastAPI says of a field: `{"loc": ["body", "prompt"], "msg": "Field required"}`. */
function complaintOf(entry: unknown): string {
  const { loc, msg } = (entry ?? {}) as { loc?: unknown[]; msg?: unknown }
  return `${loc?.slice(1).join('.') ?? ''}: ${msg ?? JSON.stringify(entry)}`
}

/** What an error says; those of refused connections have a code and no words. */
export function wordsOf(error: unknown): string {
  const { code } = error as { code?: unknown }
  const message = error instanceof Error ? error.message : String(error)
  return message || (typeof code === 'string' ? code : 'no reason given')
}
