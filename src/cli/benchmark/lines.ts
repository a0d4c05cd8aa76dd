import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'

import { messageOf } from '../errors.ts'

export interface Call {
  method?: 'GET' | 'POST' | 'PUT'
  body?: object
  headers?: Readonly<Record<string, string>>
  signal?: AbortSignal
}

/** A line of an answer, and when it came, on the clock of `performance`; lines that came together have one time. */
export interface Line {
  text: string
  atMs: number
}

/**
 * The lines of an answer as they come, on a connection of its own, however long it takes. Throws what the server says
 * where it refuses.
 */
export async function* readLines(
  url: string,
  { method = 'POST', body, headers, signal }: Call,
): AsyncGenerator<Line> {
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
    const atMs = performance.now()
    rest += chunk
    if (refused) continue
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const text of lines) if (text.trim() !== '') yield { text, atMs }
  }
  if (refused) throw new Error(`${response.statusCode}: ${errorIn(rest)}`)
  if (rest.trim() !== '') yield { text: rest, atMs: performance.now() }
}

/** Nobody listens, or no way leads there. */
const unreachableCodes = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'ENOENT'])

/** Whether a call has not even come to a server, as against one that was refused or broken off. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && unreachableCodes.has(String(error.code))
}

/** What went wrong with a call: Node has no words for a broken connection, and none at all for a name with two addresses. */
export function callFailure(error: unknown): string {
  if (error instanceof Error && 'code' in error) {
    if (error.code === 'ECONNRESET') return 'the connection broke off'
    if (error.message === '') return String(error.code)
  }
  return messageOf(error)
}

/** A whole JSON answer. */
export async function callJson<Answer>(url: string, call: Call = { method: 'GET' }): Promise<Answer> {
  let body = ''
  for await (const { text } of readLines(url, call)) body += `${text}\n`
  return JSON.parse(body) as Answer
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
