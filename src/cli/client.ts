import { clientUrl, type HostAddress } from '../config/index.ts'
import { messageOf } from './errors.ts'

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
  get<Answer>(path: string): Promise<Answer>
  post<Answer>(path: string, body: object): Promise<Answer>
  /** The objects of a streamed answer, as they come. Throws an error that comes within the stream too. */
  stream<Part extends object>(path: string, body: object, signal?: AbortSignal): AsyncGenerator<Part>
}

/** Speaks to the server at `host`. Throws `ServerError`, or an error that says that nothing answers there. */
export function createClient(host: HostAddress): Client {
  const url = clientUrl(host)
  const send = async (path: string, init: RequestInit) => {
    const response = await fetch(url + path, init).catch((error: unknown) => {
      throw init.signal?.aborted ? error : noServer(url, error)
    })
    if (response.ok) return response
    throw new ServerError(
      response.status,
      errorText(await response.text()) ?? `HTTP status ${response.status}`,
    )
  }
  const post = (path: string, body: object, signal?: AbortSignal) =>
    send(path, { method: 'POST', body: JSON.stringify(body), signal: signal ?? null })
  return {
    get: async <Answer>(path: string) => (await (await send(path, {})).json()) as Answer,
    post: async <Answer>(path: string, body: object) => (await (await post(path, body)).json()) as Answer,
    stream: async function* <Part extends object>(path: string, body: object, signal?: AbortSignal) {
      const response = await post(path, body, signal)
      for await (const line of linesOf(response)) {
        const error = errorText(line)
        if (error !== undefined) throw new ServerError(response.status, error)
        yield JSON.parse(line) as Part
      }
    },
  }
}

function noServer(url: string, error: unknown): Error {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const detail = cause instanceof Error && 'code' in cause ? String(cause.code) : messageOf(cause)
  return new Error(
    `nothing answers at ${url} (${detail}): start a server with "drover serve", or set OLLAMA_HOST`,
    {
      cause: error,
    },
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

async function* linesOf(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of response.body ?? []) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    yield* lines.filter((line) => line !== '')
  }
  if (rest.trim() !== '') yield rest
}
