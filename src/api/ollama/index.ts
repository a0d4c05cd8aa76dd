import type { FastifyInstance } from 'fastify'
import type { ApiContext, Handler } from '../context.ts'
import { jsonString } from '../go-json/index.ts'
import { replyWithError, sendJson } from '../http/index.ts'
import { chat, generate } from './answer.ts'
import { embed, embeddings } from './embed.ts'
import { errorJson } from './encode.ts'
import { ps, tags } from './models.ts'
import { show } from './show.ts'

/** Ollama's own API, and the greeting that its clients look for at `/`. */
export function ollamaRoutes(app: FastifyInstance, context: ApiContext): void {
  app.setErrorHandler((thrown, request, reply) =>
    replyWithError(thrown, request, reply, context.log, errorJson),
  )
  const route = (method: 'GET' | 'POST' | ('GET' | 'HEAD')[], url: string, handler: Handler) =>
    app.route({ method, url, handler: (request, reply) => handler(context, request, reply) })

  route(['GET', 'HEAD'], '/', async (_context, _request, reply) =>
    reply.type('text/plain; charset=utf-8').send('Ollama is running'),
  )
  route(['GET', 'HEAD'], '/api/version', async ({ version }, _request, reply) =>
    sendJson(reply, `{"version":${jsonString(version)}}`),
  )
  // Drover never sends a request to a cloud, and no setting makes it.
  route('GET', '/api/status', async (_context, _request, reply) =>
    sendJson(reply, '{"cloud":{"disabled":true,"source":"config"}}'),
  )
  route('POST', '/api/generate', generate)
  route('POST', '/api/chat', chat)
  route('POST', '/api/embed', embed)
  route('POST', '/api/embeddings', embeddings)
  route(['GET', 'HEAD'], '/api/tags', tags)
  route('GET', '/api/ps', ps)
  route('POST', '/api/show', show)
}
