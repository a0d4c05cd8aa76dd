import type { Reply, Sent, Server } from './server.ts'

/** One row of the reference: what a server has to answer. */
export interface Row {
  /** Section of the reference, and what the row is about: unique. */
  id: string
  /** Throws a `Difference`, or whatever broke the exchange. */
  check(server: Server): Promise<void>
}

/** What a server answered differently. */
export class Difference extends Error {}

/**
 * What a reply must be. Objects are matched by the members that are named, arrays by every item, texts by a pattern
 * where there is one, anything by a predicate; `undefined` means that a member is not there.
 */
export interface Expected {
  status?: number
  /** `content-type`, whole. */
  type?: unknown
  headers?: Record<string, unknown>
  /** The body as text. */
  text?: unknown
  json?: unknown
  /** The lines of NDJSON, or the data of server-sent events, parsed. */
  lines?: (lines: Record<string, unknown>[]) => void
}

/** A row that asks once. Several expectations: any of them will do (Drover's own way beside Ollama's). */
export function asks(id: string, sent: Sent, ...accepted: Expected[]): Row {
  return {
    id,
    async check(server) {
      const reply = await server.send(sent)
      const differences: string[] = []
      for (const expected of accepted) {
        const found = differenceOf(reply, expected)
        if (found === undefined) return
        differences.push(found)
      }
      throw new Difference(differences.join('; or '))
    },
  }
}

function differenceOf(reply: Reply, expected: Expected): string | undefined {
  const { status, type, headers = {}, text, json, lines } = expected
  if (status !== undefined && reply.status !== status) {
    return `status ${status} expected, got ${reply.status} ${reply.text.slice(0, 200)}`
  }
  const checks: [string, unknown, unknown][] = [
    ...(type === undefined
      ? []
      : [['content-type', type, reply.headers['content-type']] as [string, unknown, unknown]]),
    ...Object.entries(headers).map(([name, value]): [string, unknown, unknown] => [
      name,
      value,
      reply.headers[name],
    ]),
    ...(text === undefined ? [] : [['body', text, reply.text] as [string, unknown, unknown]]),
  ]
  for (const [where, wanted, got] of checks) {
    const found = compare(wanted, got, where)
    if (found !== undefined) return found
  }
  if (json !== undefined) return compare(json, reply.json(), 'body')
  try {
    lines?.(reply.lines())
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  return undefined
}

/** The first difference between a pattern and a value; undefined where it fits. */
export function compare(wanted: unknown, got: unknown, where: string): string | undefined {
  if (typeof wanted === 'function')
    return wanted(got) ? undefined : `${where}: ${wanted.name || 'another value'} expected, got ${shown(got)}`
  if (wanted instanceof RegExp) {
    return typeof got === 'string' && wanted.test(got)
      ? undefined
      : `${where}: ${wanted} expected, got ${shown(got)}`
  }
  if (Array.isArray(wanted)) {
    if (!Array.isArray(got) || got.length !== wanted.length)
      return `${where}: ${shown(wanted)} expected, got ${shown(got)}`
    return firstOf(wanted.map((item, index) => compare(item, got[index], `${where}[${index}]`)))
  }
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof got !== 'object' || got === null)
      return `${where}: ${shown(wanted)} expected, got ${shown(got)}`
    const members = got as Record<string, unknown>
    return firstOf(
      Object.entries(wanted).map(([key, value]) => compare(value, members[key], `${where}.${key}`)),
    )
  }
  return Object.is(wanted, got) ? undefined : `${where}: ${shown(wanted)} expected, got ${shown(got)}`
}

const firstOf = (found: (string | undefined)[]) => found.find((one) => one !== undefined)

function shown(value: unknown): string {
  const text = typeof value === 'function' ? value.name : (JSON.stringify(value) ?? String(value))
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

/** Throws where a value does not fit. */
export function expectFit(wanted: unknown, got: unknown, where: string): void {
  const found = compare(wanted, got, where)
  if (found !== undefined) throw new Difference(found)
}

export const aNumber = (value: unknown) => typeof value === 'number'
export const aPositiveNumber = (value: unknown) => typeof value === 'number' && value > 0
export const aText = (value: unknown) => typeof value === 'string'
export const aFullText = (value: unknown) => typeof value === 'string' && value !== ''
export const anArray = (value: unknown) => Array.isArray(value)
/** Nanoseconds or less often less, always in UTC. */
export const aUtcDate = (value: unknown) =>
  typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value)
export const aDate = (value: unknown) =>
  typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value)
