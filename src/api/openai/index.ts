import type { FastifyInstance } from 'fastify'
import type { ApiContext, Handler } from '../context.ts'
import { replyWithError } from '../http/index.ts'
import { heedActors } from '../tenant.ts'
import { batchRoutes } from './batches/index.ts'
import { chatCompletions, completions } from './completions.ts'
import { embeddings } from './embeddings.ts'
import { errorJson } from './encode.ts'
import { model, models } from './models.ts'
import { responses } from './responses/index.ts'
import { transcriptions } from './transcriptions.ts'

/** The part of OpenAI's API that Ollama speaks. */
export function openAiRoutes(app: FastifyInstance, context: ApiContext): void {
  app.setErrorHandler((thrown, request, reply) =>
    replyWithError(thrown, request, reply, context.log, errorJson),
  )
  const route = (method: 'GET' | 'POST', url: string, handler: Handler) =>
    app.route({ method, url, handler: (request, reply) => handler(context, request, reply) })

  route('POST', '/v1/chat/completions', chatCompletions)
  route('POST', '/v1/completions', completions)
  route('POST', '/v1/embeddings', embeddings)
  route('POST', '/v1/responses', responses)
  route('POST', '/v1/audio/transcriptions', transcriptions)
  route('GET', '/v1/models', models)
  route('GET', '/v1/models/:model', model)
  batchRoutes(app, context)
  heedActors(app)
}
