import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { text as readText } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { clientUrl, type HostAddress } from '../config/index.ts'
import { messageOf } from './errors.ts'
import { programName } from './program-name.ts'

/** The server answered with an error. */
export class ServerError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'ServerError'
    this.status = status
  }
}

/** A client of Ollama's API: of Drover, and as well of Ollama. */
export interface Client {
  /** The server's address, as programs that are to use it need it. */
  readonly url: string
  /** `HEAD /`: throws when nothing answers. */
  heartbeat(): Promise<void>
  get<Answer>(path: string): Promise<Answer>
  post<Answer>(path: string, body: object): Promise<Answer>
  /** Sends a body and expects no answer but success. */
  send(method: 'POST' | 'DELETE', path: string, body: object): Promise<void>
  /** The objects of a streamed answer, as they come. Throws an error that comes within the stream too. */
  stream<Part extends object>(path: string, body: object, signal?: AbortSignal): AsyncGenerator<Part>
  /** Whether the server has a blob (`sha256:...`). */
  hasBlob(digest: string): Promise<boolean>
  putBlob(digest: string, content: Readable): Promise<void>
}

interface Sent {
  method: string
  body?: object | Readable
  signal?: AbortSignal | undefined
}

/**
 * Speaks to the server at `host`. Throws `ServerError`, or an error that says that nothing answers there. Waits for an
 * answer as long as it takes: a big model loads for minutes.
 */
export function createClient(host: HostAddress): Client {
  const url = clientUrl(host)
  const open = async (path: string, sent: Sent): Promise<IncomingMessage> => {
    try {
      return await exchange(`${url}${path}`, sent)
    } catch (error) {
      throw sent.signal?.aborted ? error : noServer(url, error)
    }
  }
  const call = async (path: string, sent: Sent): Promise<string> => {
    const response = await open(path, sent)
    const body = await readText(response)
    const { statusCode: status = 0 } = response
    if (status >= 400) throw new ServerError(status, errorText(body) || `HTTP status ${status}`)
    return body
  }
  return {
    url,
    heartbeat: async () => void (await call('/', { method: 'HEAD' })),
    get: async <Answer>(path: string) => JSON.parse(await call(path, { method: 'GET' })) as Answer,
    post: async <Answer>(path: string, body: object) =>
      JSON.parse(await call(path, { method: 'POST', body })) as Answer,
    send: async (method, path, body) => void (await call(path, { method, body })),
    stream: async function* <Part extends object>(path: string, body: object, signal?: AbortSignal) {
      const response = await open(path, { method: 'POST', body, signal })
      const { statusCode: status = 0, statusMessage = '' } = response
      for await (const line of linesOf(response)) {
        const error = errorText(line)
        if (status >= 400) throw new ServerError(status, `${status} ${statusMessage}: ${error ?? line}`)
        if (error !== undefined) throw new ServerError(status, error)
        yield JSON.parse(line) as Part
      }
      if (status >= 400) throw new ServerError(status, `${status} ${statusMessage}`)
    },
    hasBlob: async (digest) => {
      try {
        await call(`/api/blobs/${digest}`, { method: 'HEAD' })
        return true
      } catch (error) {
        if (error instanceof ServerError && error.status === 404) return false
        throw error
      }
    },
    putBlob: async (digest, content) =>
      void (await call(`/api/blobs/${digest}`, { method: 'POST', body: content })),
  }
}

/** One request and the head of its answer. Rejects when there is no answer. */
async function exchange(url: string, { method, body, signal }: Sent): Promise<IncomingMessage> {
  const open = url.startsWith('https:') ? (await import('node:https')).request : httpRequest
  const json = body === undefined || isStream(body) ? undefined : Buffer.from(JSON.stringify(body))
  const request = open(url, {
    method,
    // One request a connection: the process ends when its last answer does.
    agent: false,
    ...(signal && { signal }),
    ...(json && { headers: { 'content-type': 'application/json', 'content-length': json.length } }),
  })
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve).once('error', reject)
  })
  if (body && isStream(body)) {
    // The server may answer, with a refusal, before it has read everything: then the answer counts.
    const sent = pipeline(body, request).then(() => answered)
    return Promise.race([answered, sent])
  }
  request.end(json)
  return answered
}

function isStream(body: object): body is Readable {
  return 'pipe' in body
}

function noServer(url: string, error: unknown): Error {
  const refused = error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED'
  const name = programName()
  const advice = `could not connect to ${name} server, run '${name} serve' to start it`
  if (refused && name === 'ollama') return new Error(advice, { cause: error })
  const detail = error instanceof Error && 'code' in error ? String(error.code) : messageOf(error)
  return new Error(
    refused
      ? `${advice}, or set OLLAMA_HOST (nothing answers at ${url})`
      : `no answer from ${url}: ${detail}`,
    { cause: error },
  )
}

/** What an error answer says: Ollama's `{"error": text}`; undefined for any other JSON; text as it is. */
function errorText(body: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body)
    const error = typeof value === 'object' && value !== null && 'error' in value ? value.error : undefined
    return typeof error === 'string' ? error : undefined
  } catch {
    // No JSON: a proxy's page, or the plain text of a 404.
    return body.trim().slice(0, 500)
  }
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  response.setEncoding('utf8')
  let rest = ''
  for await (const chunk of response as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    yield* lines.filter((line) => line !== '')
  }
  if (rest.trim() !== '') yield rest
}
