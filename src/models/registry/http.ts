import { type Dispatcher, EnvHttpProxyAgent, request } from 'undici'
import { codeOf } from '../files.ts'

/*
 * HTTP as registries need it: through the proxies of HTTP_PROXY, HTTPS_PROXY and NO_PROXY, following redirects without
 * carrying a credential to another host, and giving up on a connection that has gone silent.
 */

export interface HttpRequest {
  method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT'
  url: URL
  headers?: Record<string, string>
  /** Called for each attempt, since what has been sent cannot be sent again. */
  body?: () => Dispatcher.DispatchOptions['body']
  /** Accepts any certificate, and redirects from HTTPS to HTTP. */
  insecure: boolean
  /** How long to wait for the answer's head; default the stall timeout. */
  answerTimeoutMs?: number
  signal: AbortSignal
}

export interface HttpReply {
  /** Where the answer came from, behind all redirects. */
  url: URL
  status: number
  headers: Record<string, string | string[] | undefined>
  body: Dispatcher.ResponseData['body']
}

/** Sends a request; GET and HEAD follow redirects. Throws an `HttpError` where no answer comes. */
export type Http = (request: HttpRequest) => Promise<HttpReply>

/** What a registry, or the way to it, did wrong. */
export class HttpError extends Error {
  /** Of an answer; undefined where none came, or not the whole. */
  readonly status: number | undefined
  /** Nothing came for the stall timeout. */
  readonly stalled: boolean

  constructor(message: string, options: { status?: number; cause?: unknown } = {}) {
    super(message, options)
    this.name = 'HttpError'
    this.status = options.status
    this.stalled = stallCodes.has(codeOf(options.cause) ?? '')
  }
}

const mostRedirects = 10

const redirectStatuses = new Set([301, 302, 303, 307, 308])

const stallCodes = new Set(['UND_ERR_BODY_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT'])

/** Connections that end, and names and hosts that are not there for a moment. */
const passingCodes = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_ABORTED',
  ...stallCodes,
])

const passingStatuses = new Set([408, 429, 500, 502, 503, 504])

/** Whether the same request may well succeed in a moment. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof HttpError)) return false
  return error.status === undefined
    ? passingCodes.has(codeOf(error.cause) ?? '')
    : passingStatuses.has(error.status)
}

/** Connections are kept and used again; they keep no process alive. `stallTimeoutMs`: without a byte. */
export function createHttp(userAgent: string, stallTimeoutMs: number): Http {
  const settings = { headersTimeout: stallTimeoutMs, bodyTimeout: stallTimeoutMs, allowH2: false }
  const strict = new EnvHttpProxyAgent(settings)
  const lenientTls = { rejectUnauthorized: false }
  const lenient = new EnvHttpProxyAgent({ ...settings, connect: lenientTls, requestTls: lenientTls })

  async function once(wanted: HttpRequest, url: URL, headers: Record<string, string>): Promise<HttpReply> {
    try {
      const {
        statusCode,
        headers: answered,
        body,
      } = await request(url, {
        dispatcher: wanted.insecure ? lenient : strict,
        method: wanted.method,
        headers: { 'user-agent': userAgent, ...headers },
        body: wanted.body?.() ?? null,
        signal: wanted.signal,
        ...(wanted.answerTimeoutMs !== undefined && { headersTimeout: wanted.answerTimeoutMs }),
      })
      return { url, status: statusCode, headers: answered, body }
    } catch (error) {
      wanted.signal.throwIfAborted()
      throw networkError(wanted.method, url, error)
    }
  }

  return async (wanted) => {
    const follows = wanted.method === 'GET' || wanted.method === 'HEAD'
    let headers = wanted.headers ?? {}
    let { url } = wanted
    for (let count = 0; count <= mostRedirects; count++) {
      const reply = await once(wanted, url, headers)
      const location = header(reply, 'location')
      if (!follows || !redirectStatuses.has(reply.status) || location === undefined) return reply
      await dump(reply)
      const next = new URL(location, url)
      if (url.protocol === 'https:' && next.protocol !== 'https:' && !wanted.insecure) {
        throw new HttpError(`${url.origin} leads to ${next.origin}, which is not encrypted`)
      }
      if (next.host !== url.host) headers = withoutCredential(headers)
      url = next
    }
    throw new HttpError(`maximum redirects exceeded (${mostRedirects}) for ${wanted.url}`)
  }
}

/** One value of a header of an answer. */
export function header({ headers }: Pick<HttpReply, 'headers'>, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** Reads a body to its end, at most `mostBytes`; a longer one is an error, or cut where `cuts`. */
export async function readBody(reply: HttpReply, mostBytes: number, { cuts = false } = {}): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of reply.body) {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > mostBytes) break
    }
  } catch (error) {
    throw networkError('GET', reply.url, error)
  }
  if (bytes > mostBytes && !cuts) throw new HttpError(`${reply.url} sent more than ${mostBytes} bytes`)
  return Buffer.concat(chunks).subarray(0, mostBytes)
}

/** Leaves the rest of a body unread. */
export async function dump({ body }: HttpReply): Promise<void> {
  try {
    await body.dump({ limit: 16 * 1024 })
  } catch (error) {
    // Nobody wants the rest of this answer, so it does not matter that it did not come.
    if (!(error instanceof Error)) throw error
  }
}

/** An error of the way, with the words that Go has for it: `Get "https://...": reason`. */
export function networkError(method: string, url: URL, cause: unknown): HttpError {
  if (cause instanceof HttpError) return cause
  const verb = `${method.slice(0, 1)}${method.slice(1).toLowerCase()}`
  return new HttpError(`${verb} "${url}": ${reasonOf(cause)}`, { cause })
}

/** Several addresses tried in vain make an error without a text of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ')
  return error instanceof Error ? error.message || error.name : String(error)
}

function withoutCredential(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'authorization'))
}
