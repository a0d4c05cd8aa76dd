import { type Dispatcher, Pool } from 'undici'
import type { Endpoint } from './launch-line.ts'

/** An error that the server itself answered with. */
export class ServerError extends Error {
  readonly status: number
  /** llama.cpp's own class of it: `exceed_context_size_error`. */
  readonly type: string

  constructor(status: number, type: string, message: string) {
    super(message)
    this.name = 'ServerError'
    this.status = status
    this.type = type
  }
}

/** The server's HTTP interface. Nothing in it has a deadline of its own: a long prefill is silent for long. */
export interface ServerClient {
  /** A JSON answer; throws `ServerError` for a status that is not 2xx. */
  json(method: 'GET' | 'POST', path: string, body?: unknown, signal?: AbortSignal): Promise<unknown>
  /**
   * Whether it answers, over a connection that is closed then: one that is kept lives on when no other can be made any
   * more. Any answer will do; throws when there is none.
   */
  ping(signal: AbortSignal): Promise<void>
  /** A streamed answer, as server-sent events. */
  stream(path: string, body: unknown): ServerStream
  close(): Promise<void>
}

export interface ServerStream {
  /**
   * The events that have come since the last call, at least one, or undefined at the end. Throws `ServerError`
   * where the server refuses, and the connection's error.
   */
  next(): Promise<ServerEvent[] | undefined>
  /** Ends the request by closing its connection; a pending `next` throws the reason. */
  abort(reason: Error): void
}

export type ServerEvent = Record<string, unknown>

/** The answers that wait unread before the server is made to wait, so that a slow reader costs no memory. */
const mostQueuedEvents = 256

export function createClient(endpoint: Endpoint, apiKey: string, connections: number): ServerClient {
  const origin = 'port' in endpoint ? `http://127.0.0.1:${endpoint.port}` : 'http://localhost'
  const pool = new Pool(origin, {
    ...('socketPath' in endpoint && { socketPath: endpoint.socketPath }),
    connections,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }

  async function request(options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData> {
    for (let retries = 0; ; retries++) {
      try {
        return await pool.request(options)
      } catch (error) {
        if (retries >= mostRetries || !isStaleConnection(error)) throw error
      }
    }
  }

  return {
    async json(method, path, body, signal) {
      const options = {
        method,
        path,
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...(signal && { signal }),
      }
      const response = await request(options)
      const text = await response.body.text()
      if (response.statusCode >= 200 && response.statusCode < 300) return JSON.parse(text)
      throw toServerError(response.statusCode, text)
    },
    async ping(signal) {
      const response = await pool.request({ method: 'GET', path: '/health', headers, signal, reset: true })
      await response.body.dump()
    },
    stream: (path, body) => openStream(pool, { method: 'POST', path, headers, body: JSON.stringify(body) }),
    close: () => pool.destroy(),
  }
}

/** All of a pool's connections may have grown stale together; after so many it is another matter. */
const mostRetries = 16

/**
 * The server closes connections that were idle for 5 s or have served 100 requests; a request sent at that very
 * moment finds its connection gone and may be sent again.
 */
function isStaleConnection(error: unknown): boolean {
  const { code } = error as { code?: string }
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE'
}

function openStream(pool: Pool, options: Dispatcher.DispatchOptions): ServerStream {
  let events: ServerEvent[] = []
  let ended = false
  let failure: Error | undefined
  let controller: Dispatcher.DispatchController | undefined
  let wake: (() => void) | undefined
  let status = 0
  let refusal = ''
  const split = createEventSplitter()
  const notify = () => {
    wake?.()
    wake = undefined
  }
  const fail = (error: Error) => {
    failure ??= error
    notify()
  }

  let retries = 0
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(started) {
      controller = started
      if (failure) started.abort(failure)
    },
    onResponseStart(_controller, statusCode) {
      status = statusCode
    },
    onResponseData(current, chunk) {
      if (status !== 200) {
        refusal += chunk.toString('utf8')
        return
      }
      split(chunk, events)
      if (events.length > mostQueuedEvents) current.pause()
      if (events.length) notify()
    },
    onResponseEnd() {
      ended = true
      if (status !== 200) fail(toServerError(status, refusal))
      notify()
    },
    onResponseError(_controller, error) {
      if (failure || retries >= mostRetries || status !== 0 || !isStaleConnection(error)) return fail(error)
      retries++
      pool.dispatch(options, handler)
    },
  }
  pool.dispatch(options, handler)

  return {
    async next() {
      while (events.length === 0) {
        if (failure) throw failure
        if (ended) return undefined
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      const batch = events
      events = []
      if (controller?.paused) controller.resume()
      return batch
    },
    abort(reason) {
      if (ended) return
      events = []
      fail(reason)
      controller?.abort(reason)
    },
  }
}

const newline = 0x0a
const dataPrefix = 'data: '

/**
 * Cuts a stream of server-sent events into their parsed data, appended to `events`. Bytes are cut at line ends
 * before they are decoded, so a character is never split. Comments (keep-alive pings) are passed over.
 */
export function createEventSplitter(): (chunk: Buffer, events: ServerEvent[]) => void {
  let rest: Buffer | undefined
  return (chunk, events) => {
    const bytes = rest ? Buffer.concat([rest, chunk]) : chunk
    let start = 0
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
      if (end - start > dataPrefix.length) {
        const line = bytes.toString('utf8', start, end)
        if (line.startsWith(dataPrefix) && line.charCodeAt(dataPrefix.length) === 0x7b) {
          events.push(JSON.parse(line.slice(dataPrefix.length)) as ServerEvent)
        }
      }
      start = end + 1
    }
    rest = start < bytes.length ? bytes.subarray(start) : undefined
  }
}

/** Reads `{"error":{"message","type"}}`. */
function toServerError(status: number, body: string): ServerError {
  return (
    errorFrom(status, parseOrUndefined(body)) ??
    new ServerError(status, '', body.trim() || `status ${status}`)
  )
}

/** The error that an answer or an event of the stream carries. */
export function errorFrom(status: number, answer: unknown): ServerError | undefined {
  const error = (answer as { error?: { message?: unknown; type?: unknown; code?: unknown } } | undefined)
    ?.error
  if (!error) return undefined
  const code = typeof error.code === 'number' ? error.code : status
  return new ServerError(code, String(error.type ?? ''), String(error.message ?? JSON.stringify(error)))
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not every refusal is JSON; the caller then shows the text itself.
    return undefined
  }
}
