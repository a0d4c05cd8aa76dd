import { Pool } from 'undici'

/** A refusal in the server's own words, by a status or by a line of the stream. */
export class OllamaError extends Error {
  /** 200 where the refusal came after the answer had begun. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'OllamaError'
    this.status = status
  }
}

/** The HTTP interface of an Ollama. Nothing in it has a deadline of its own: a load or a prefill is silent for long. */
export interface OllamaClient {
  /** A JSON answer. Throws `OllamaError` for a status that is not 2xx, the connection's error, or the signal's reason. */
  json(method: 'GET' | 'POST', path: string, body?: unknown, signal?: AbortSignal): Promise<unknown>
  /**
   * The lines of a streamed answer, those of one read together. The connection is read only as fast as the lines are
   * taken; leaving the loop, or the signal, closes it. Throws as `json` does, and for a line that tells an error.
   */
  lines(path: string, body: unknown, signal: AbortSignal): AsyncIterable<OllamaLine[]>
  close(): Promise<void>
}

export type OllamaLine = Record<string, unknown>

/** Of a name and password in the URL there is made an `Authorization` header, as browsers do it. */
export function createClient(url: string): OllamaClient {
  const { origin, pathname, username, password } = new URL(url)
  const prefix = pathname.replace(/\/+$/, '')
  // As many connections as are asked for: the instances' slots bound what runs at once.
  const pool = new Pool(origin, { pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })
  const headers = {
    'content-type': 'application/json',
    ...(username !== '' && { authorization: `Basic ${credentials(username, password)}` }),
  }

  async function request(method: 'GET' | 'POST', path: string, body?: unknown, signal?: AbortSignal) {
    const response = await pool.request({
      method,
      path: prefix + path,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    })
    if (response.statusCode >= 200 && response.statusCode < 300) return response.body
    throw refusal(response.statusCode, await response.body.text())
  }

  return {
    json: async (method, path, body, signal) => (await request(method, path, body, signal)).json(),
    async *lines(path, body, signal) {
      const split = createLineSplitter()
      for await (const chunk of await request('POST', path, body, signal)) {
        const lines = split(chunk)
        if (lines.length > 0) yield lines
      }
    },
    close: () => pool.destroy(),
  }
}

function credentials(username: string, password: string): string {
  return Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')
}

const newline = 0x0a

/**
 * Cuts NDJSON into its values. Bytes are cut at line ends before they are decoded, so a character is never split; what
 * follows the last line end waits for its rest.
 */
export function createLineSplitter(): (chunk: Buffer) => OllamaLine[] {
  let rest: Buffer | undefined
  return (chunk) => {
    const bytes = rest ? Buffer.concat([rest, chunk]) : chunk
    const lines: OllamaLine[] = []
    let start = 0
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
      if (end > start) lines.push(JSON.parse(bytes.toString('utf8', start, end)) as OllamaLine)
      start = end + 1
    }
    rest = start < bytes.length ? bytes.subarray(start) : undefined
    return lines
  }
}

/** Reads `{"error": "..."}`, or takes the text for what it is. */
function refusal(status: number, text: string): OllamaError {
  try {
    const { error } = JSON.parse(text) as { error?: unknown }
    if (typeof error === 'string') return new OllamaError(status, error)
  } catch {
    // Something before the server has answered: its own text has to do.
  }
  return new OllamaError(status, text.trim() || `status ${status}`)
}

/** What an error says; those of refused connections have a code and no words. */
export function wordsOf(error: unknown): string {
  const { code } = error as { code?: unknown }
  const message = error instanceof Error ? error.message : String(error)
  return message || (typeof code === 'string' ? code : 'no reason given')
}
