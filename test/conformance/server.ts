import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'

/** A request; `body` is sent as JSON unless it is a text or bytes. */
export interface Sent {
  method?: string
  path: string
  body?: unknown
  headers?: Record<string, string>
}

export interface Reply {
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** The body parsed; undefined where it is no JSON. */
  json(): unknown
  /** The lines of NDJSON, or the data of server-sent events (without `[DONE]`). */
  lines(): Record<string, unknown>[]
}

/** The server under test. */
export interface Server {
  send(sent: Sent): Promise<Reply>
}

export function connectTo(url: string): Server {
  const { hostname, port } = new URL(url)
  return {
    send({ method, path, body, headers = {} }) {
      const isRaw = typeof body === 'string' || body instanceof Uint8Array
      const bytes =
        body === undefined ? undefined : Buffer.from(isRaw ? (body as string) : JSON.stringify(body))
      return new Promise((resolve, reject) => {
        const request = httpRequest(
          {
            hostname,
            port: port || 80,
            path,
            method: method ?? (bytes ? 'POST' : 'GET'),
            headers: { ...(bytes && { 'content-length': bytes.length }), ...headers },
            timeout: 60_000,
          },
          (response) => {
            const chunks: Buffer[] = []
            response.on('data', (chunk) => chunks.push(chunk))
            response.on('error', reject)
            response.on('end', () => {
              const text = Buffer.concat(chunks).toString('utf8')
              resolve({ status: response.statusCode ?? 0, headers: response.headers, text, ...parsers(text) })
            })
          },
        )
        request.on('error', reject)
        request.on('timeout', () => request.destroy(new Error('no answer within 60 s')))
        request.end(bytes)
      })
    },
  }
}

function parsers(text: string): Pick<Reply, 'json' | 'lines'> {
  return {
    json() {
      try {
        return JSON.parse(text)
      } catch {
        // What is no JSON fits no pattern.
        return undefined
      }
    },
    lines: () =>
      text
        .split('\n')
        .map((line) => line.replace(/^data: /, ''))
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  }
}
