import type { FastifyReply, FastifyRequest } from 'fastify'
import { asDroverError, type DroverError } from '../../inference/index.ts'
import type { ApiLog } from '../log.ts'
import { refuseBody } from './body.ts'
import { sendJson } from './exchange.ts'

/** Answers with what a handler threw, in a dialect's envelope; a client that is gone gets nothing. */
export function replyWithError(
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: ApiLog,
  envelope: (error: DroverError) => string,
): void {
  const error = asDroverError(thrown)
  const { exchange } = request
  exchange.error = error.code
  if (exchange.signal.aborted || reply.raw.destroyed) {
    reply.hijack()
    return
  }
  if (error.status >= 500) {
    const stack = error.cause instanceof Error ? error.cause.stack : undefined
    const facts = { code: error.code, reason: error.message, stack, model: exchange.model }
    // A full queue and a shutdown are no faults.
    if (error.status === 503) log.warn(facts, 'request refused')
    else log.error(facts, 'request failed')
  }
  if (error.retryAfterMs !== undefined) {
    reply.header('retry-after', Math.max(1, Math.ceil(error.retryAfterMs / 1000)))
  }
  const json = envelope(error)
  if (request.raw.readableEnded || request.raw.complete) sendJson(reply, json, error.status)
  else refuseBody(request, reply, json, error.status)
}
