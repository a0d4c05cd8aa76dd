import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { DroverError } from '../../inference/index.ts'
import type { ApiLog } from '../log.ts'

/** One request on its way: when to give it up, and what the access log will say of it. */
export interface Exchange {
  /** Aborts as soon as the client's connection is gone before the answer is complete. */
  signal: AbortSignal
  /** The model asked for, once it is known. */
  model?: string
  /** Tokens generated, once the answer is complete. */
  outputTokens?: number
  /** The whole answer is sent, though the connection is kept open a little longer. */
  answered?: boolean
  /** Code of the error that ended an answer already under way. */
  error?: string
}

declare module 'fastify' {
  interface FastifyRequest {
    exchange: Exchange
  }
}

/** Status of a request whose client went away, as nginx and Ollama record it. Never sent. */
const clientClosedRequest = 499

/** Paths of the API are short; what a stranger sends may be a megabyte. */
const longestPathLogged = 512

/** Gives every request its `exchange`, and writes one line to the access log when it is over. */
export function trackExchanges(app: FastifyInstance, log: ApiLog): void {
  app.decorateRequest('exchange')
  app.addHook('onRequest', (request, reply, next) => {
    const startedMs = performance.now()
    const controller = new AbortController()
    request.exchange = { signal: controller.signal }
    let over = false
    const end = (complete: boolean) => {
      if (over) return
      over = true
      if (!complete) controller.abort(new DroverError('cancelled', 'request canceled'))
      const status = complete ? reply.raw.statusCode : clientClosedRequest
      logAccess(log, request, status, performance.now() - startedMs)
    }
    reply.raw.once('finish', () => end(true))
    reply.raw.once('close', () => end(reply.raw.writableFinished || request.exchange.answered === true))
    // A connection that breaks while a piece is on its way; `close` follows and ends the request.
    reply.raw.on('error', (error) => log.debug({ error: error.message }, 'connection broke'))
    next()
  })
}

function logAccess(log: ApiLog, request: FastifyRequest, status: number, ms: number): void {
  const { model, outputTokens, error } = request.exchange
  const facts = {
    method: request.method,
    path: request.url.split('?', 1)[0]?.slice(0, longestPathLogged),
    status,
    ms: Math.round(ms * 1000) / 1000,
    ...(model !== undefined && { model }),
    ...(outputTokens !== undefined && { tokens: outputTokens }),
    ...(error !== undefined && { error }),
  }
  log.info(facts, 'request')
}

/** A JSON text as the reply. */
export function sendJson(reply: FastifyReply, json: string, status = 200): FastifyReply {
  return reply.code(status).type('application/json; charset=utf-8').send(json)
}
