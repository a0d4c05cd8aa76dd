import type { FastifyInstance } from 'fastify'
import type { ApiContext, Handler } from '../context.ts'
import { replyWithError } from '../http/index.ts'
import { countTokens, messages, requestIdOf } from './answer.ts'
import { errorJson, newId } from './encode.ts'

/** Anthropic's Messages API. Whatever key or version a client sends is accepted. */
export function anthropicRoutes(app: FastifyInstance, context: ApiContext): void {
  app.addHook('onRequest', async (_request, reply) => {
    reply.raw.setHeader('request-id', newId('req'))
  })
  app.setErrorHandler((thrown, request, reply) =>
    replyWithError(thrown, request, reply, context.log, (error) => errorJson(error, requestIdOf(reply))),
  )
  const route = (url: string, handler: Handler) =>
    app.route({ method: 'POST', url, handler: (request, reply) => handler(context, request, reply) })

  route('/v1/messages', messages)
  route('/v1/messages/count_tokens', countTokens)
}
