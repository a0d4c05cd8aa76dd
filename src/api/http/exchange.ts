import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { randomId } from '../../core/index.ts'
import { DroverError, type RouteReport, type RoutingWishes } from '../../inference/index.ts'
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
  /** By which this request is found in logs; the client's own, where it sent a usable one. */
  id: string
  /** Where it went. */
  route?: RouteReport
  /** Adds a header to the reply, unless it has begun. */
  setHeader(name: string, value: string | number): void
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
    const setHeader = (name: string, value: string | number) => {
      if (!reply.raw.headersSent) reply.raw.setHeader(name, value)
    }
    const id = requestIdOf(request)
    request.exchange = { signal: controller.signal, id, setHeader }
    setHeader('X-Request-Id', id)
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

/** An id from outside goes into logs and headers as it is: letters, digits and a few marks. */
const usableId = /^[\w.:-]{1,128}$/

function requestIdOf(request: FastifyRequest): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && usableId.test(given) ? given : `req_${randomId(20)}`
}

/** Tells the client where its request went. Of a route that changes under an answer only the log can tell. */
export function announceRoute(exchange: Exchange, route: RouteReport): void {
  exchange.route = route
  exchange.setHeader('X-Drover-Instance', route.instance)
  exchange.setHeader('X-Drover-Route', route.reason)
  exchange.setHeader('X-Drover-Queue-Position', route.queuePosition)
  exchange.setHeader('X-Drover-Queue-Ms', route.queuedMs)
  if (route.queueEstimateMs !== undefined) {
    exchange.setHeader('X-Drover-Queue-Estimate-Ms', route.queueEstimateMs)
  }
  if (route.moves > 0) exchange.setHeader('X-Drover-Moves', route.moves)
  if (route.degraded !== undefined) exchange.setHeader('X-Drover-Degraded', route.degraded)
}

/** Tells the client which of its wishes about several devices were understood, and how. */
export function announceMultiGpu(exchange: Exchange, wishes: RoutingWishes): void {
  const { strategy, profile, pins = [], tensorSize, pipelineSize } = wishes
  const parts = [
    ...(strategy === undefined ? [] : [`strategy=${strategy}`]),
    ...(tensorSize === undefined ? [] : [`tensor_size=${tensorSize}`]),
    ...(pipelineSize === undefined ? [] : [`pipeline_size=${pipelineSize}`]),
    ...(pins.length === 0 ? [] : [`gpus=${pins.join(',')}`]),
    ...(profile === undefined ? [] : [`profile=${profile}`]),
  ]
  if (parts.length > 0) exchange.setHeader('X-Drover-Multi-Gpu', parts.join('; '))
}

function logAccess(log: ApiLog, request: FastifyRequest, status: number, ms: number): void {
  const { id, model, outputTokens, error, route } = request.exchange
  const facts = {
    id,
    method: request.method,
    path: request.url.split('?', 1)[0]?.slice(0, longestPathLogged),
    status,
    ms: Math.round(ms * 1000) / 1000,
    ...(model !== undefined && { model }),
    ...(outputTokens !== undefined && { tokens: outputTokens }),
    ...(route && { instance: route.instance, policy: route.policy, queuedMs: route.queuedMs }),
    ...(route && route.moves > 0 && { moves: route.moves }),
    ...(error !== undefined && { error }),
  }
  log.info(facts, 'request')
}

/** A JSON text as the reply. */
export function sendJson(reply: FastifyReply, json: string, status = 200): FastifyReply {
  return reply.code(status).type('application/json; charset=utf-8').send(json)
}
