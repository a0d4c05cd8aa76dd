import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'

export interface Call {
  method?: 'GET' | 'POST' | 'PUT'
  body?: object
  headers?: Readonly<Record<string, string>>
  signal?: AbortSignal
}

/**
 * The lines of an answer as they come, on a connection of its own, however long it takes. Throws what the server says
 * where it refuses.
 */
export async function* readLines(
  url: string,
  { method = 'POST', body, headers, signal }: Call,
): AsyncGenerator<string> {
  const open = url.startsWith('https:') ? requestHttps : requestHttp
  const json = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  const request = open(url, {
    method,
    agent: false,
    headers: {
      ...(json && { 'content-type': 'application/json', 'content-length': json.length }),
      ...headers,
    },
    ...(signal && { signal }),
  })
  const answered = new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    request.once('response', resolve).once('error', reject)
  })
  request.end(json)
  const response = await answered
  const refused = (response.statusCode ?? 0) >= 400
  response.setEncoding('utf8')
  let rest = ''
  for await (const chunk of response as AsyncIterable<string>) {
    rest += chunk
    if (refused) continue
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    yield* lines.filter((line) => line.trim() !== '')
  }
  if (refused) throw new Error(`${response.statusCode}: ${errorIn(rest)}`)
  if (rest.trim() !== '') yield rest
}

/** A whole JSON answer. */
export async function callJson<Answer>(url: string, call: Call = { method: 'GET' }): Promise<Answer> {
  let text = ''
  for await (const line of readLines(url, call)) text += `${line}\n`
  return JSON.parse(text) as Answer
}

function errorIn(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: string | { message?: string } }
    return (typeof error === 'string' ? error : error?.message) ?? body.slice(0, 300)
  } catch {
    // A proxy's page, or plain text.
    return body.trim().slice(0, 300)
  }
}
