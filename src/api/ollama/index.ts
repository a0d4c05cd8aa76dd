import type { FastifyInstance, HTTPMethods } from 'fastify'
import type { ApiContext, Handler } from '../context.ts'
import { jsonString } from '../go-json/index.ts'
import { replyWithError, sendJson } from '../http/index.ts'
import { chat, generate } from './answer.ts'
import { cloudStatus, recommendations, refusedByCloud, signOut } from './cloud.ts'
import { embed, embeddings } from './embed.ts'
import { errorJson } from './encode.ts'
import { addBlob, copy, create, hasBlob, pull, push, remove } from './manage.ts'
import { ps, tags } from './models.ts'
import { show } from './show.ts'

/** Ollama's own API, and the greeting that its clients look for at `/`. */
export function ollamaRoutes(app: FastifyInstance, context: ApiContext): void {
  app.setErrorHandler((thrown, request, reply) =>
    replyWithError(thrown, request, reply, context.log, errorJson),
  )
  const route = (method: HTTPMethods | HTTPMethods[], url: string, handler: Handler) =>
    app.route({ method, url, handler: (request, reply) => handler(context, request, reply) })

  route(['GET', 'HEAD'], '/', async (_context, _request, reply) =>
    reply.type('text/plain; charset=utf-8').send('Ollama is running'),
  )
  route(['GET', 'HEAD'], '/api/version', async ({ version }, _request, reply) =>
    sendJson(reply, `{"version":${jsonString(version)}}`),
  )
  route('POST', '/api/generate', generate)
  route('POST', '/api/chat', chat)
  route('POST', '/api/embed', embed)
  route('POST', '/api/embeddings', embeddings)
  route(['GET', 'HEAD'], '/api/tags', tags)
  route('GET', '/api/ps', ps)
  route('POST', '/api/show', show)
  route('POST', '/api/create', create)
  route('POST', '/api/pull', pull)
  route('POST', '/api/push', push)
  route('POST', '/api/copy', copy)
  route('DELETE', '/api/delete', remove)
  route('HEAD', '/api/blobs/:digest', hasBlob)
  route('POST', '/api/blobs/:digest', addBlob)
  route('GET', '/api/status', cloudStatus)
  route('POST', '/api/me', refusedByCloud('account'))
  route('POST', '/api/signout', signOut)
  route('DELETE', '/api/user/keys/:encodedKey', signOut)
  route('POST', '/api/experimental/web_search', refusedByCloud('web search'))
  route('POST', '/api/experimental/web_fetch', refusedByCloud('web fetch'))
  route('GET', '/api/experimental/model-recommendations', recommendations)
}
