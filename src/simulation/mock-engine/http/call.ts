import type { ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { MockCore } from '../core.ts'
import type { FaultName, RequestFaults } from '../faults.ts'
import { Refusal } from '../refusal.ts'

/** What differs between dialects when there is no answer. */
export interface Dialect {
  /** The JSON of a refusal. */
  refusal(refusal: Refusal): string
  /** What ends an answer that has begun when it cannot go on. */
  broken(refusal: Refusal): string
  /** What a device that has run out of memory is told as. */
  outOfMemory: string
  /** Whether requests are refused while the first model loads; else they wait. */
  refusesWhileLoading: boolean
}

/** One request for work. */
export interface Call {
  readonly raw: ServerResponse
  readonly dialect: Dialect
  /** Aborts when the client has gone, or the engine is closed. */
  readonly signal: AbortSignal
  readonly faults: RequestFaults
  readonly beganMs: number
}

/** The connection was broken on purpose: there is nothing more to say on it. */
export class BrokenOff extends Error {
  constructor(fault: FaultName) {
    super(`broken off by ${fault}`)
    this.name = 'BrokenOff'
  }
}

/** A route for work: counted, hit by faults, and refused in the dialect's words. */
export function workRoute<Schema extends z.ZodType>(
  core: MockCore,
  dialect: Dialect,
  schema: Schema,
  handle: (call: Call, body: z.infer<Schema>) => Promise<void>,
) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    reply.hijack()
    const { counters } = core
    counters.requests++
    const call = openCall(core, dialect, reply.raw)
    try {
      await strikeEarly(core, call)
      const body = readBody(request, schema)
      if (dialect.refusesWhileLoading && core.starting()) throw new Refusal(503, 'Loading model')
      await handle(call, body)
      counters.completed++
    } catch (error) {
      if (error instanceof BrokenOff) counters.broken++
      else if (call.signal.aborted) counters.abortedClients++
      else {
        counters[reply.raw.headersSent ? 'broken' : 'refused']++
        refuse(call, error)
      }
    }
  }
}

/** A route that only tells something; what it throws is refused in the dialect's words. */
export function plainRoute(
  dialect: Dialect,
  handle: (request: FastifyRequest) => unknown | Promise<unknown>,
) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    try {
      return await handle(request)
    } catch (error) {
      const refusal = asRefusal(error)
      return reply
        .code(refusal.status)
        .headers(refusal.headers)
        .type('application/json; charset=utf-8')
        .send(dialect.refusal(refusal))
    }
  }
}

function openCall(core: MockCore, dialect: Dialect, raw: ServerResponse): Call {
  const gone = new AbortController()
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort(new Error('the client has gone'))
  })
  const beganMs = core.settings.clock.monotonicMs()
  return { raw, dialect, signal: gone.signal, faults: core.faults.hit(), beganMs }
}

const defaultDelayMs = 60_000

/** What happens before anything of an answer. */
async function strikeEarly(core: MockCore, { faults, raw, signal }: Call): Promise<void> {
  const { early } = faults
  if (!early) return
  const retryAfter = { 'retry-after': String(early.retryAfterSeconds ?? 1) }
  switch (early.fault) {
    case 'error_500':
      throw new Refusal(500, 'internal error (switched on by a fault of the mock engine)')
    case 'error_503':
      throw new Refusal(503, 'server busy, please try again', {
        headers: early.retryAfterSeconds === undefined ? {} : retryAfter,
      })
    case 'error_429':
      throw new Refusal(429, 'too many requests, please try again later', { headers: retryAfter })
    case 'error_404':
      throw new Refusal(404, 'model not found, try pulling it first')
    case 'refuse':
      raw.socket?.destroy()
      throw new BrokenOff(early.fault)
    case 'hang_before_headers':
      return aborted(signal)
    case 'late_headers':
      return core.settings.clock.sleep(early.delayMs ?? defaultDelayMs, signal)
  }
}

/** Never resolves; rejects once the client has gone. */
export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** A request's body, whatever type it says it has. Throws `Refusal` for what is no JSON or does not fit. */
export function readBody<Schema extends z.ZodType>(request: FastifyRequest, schema: Schema): z.infer<Schema> {
  const text = typeof request.body === 'string' ? request.body : ''
  let value: unknown
  try {
    value = text === '' ? {} : JSON.parse(text)
  } catch (error) {
    throw new Refusal(400, `the body is no JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new Refusal(400, `${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'not understood'}`)
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  return new Refusal(500, error instanceof Error ? error.message : String(error))
}

function refuse({ raw, dialect }: Call, error: unknown): void {
  const refusal = asRefusal(error)
  if (raw.headersSent) {
    raw.end(dialect.broken(refusal))
    return
  }
  raw
    .writeHead(refusal.status, { 'content-type': 'application/json; charset=utf-8', ...refusal.headers })
    .end(dialect.refusal(refusal))
}
