import type { FastifyInstance } from 'fastify'
import type { ApiContext } from '../context.ts'
import { sendJson } from '../http/index.ts'
import { openApiDocument } from './document.ts'

/** `GET /openapi.json` */
export function openApiRoutes(app: FastifyInstance, { version }: ApiContext): void {
  let document: string | undefined
  app.get('/openapi.json', async (_request, reply) => {
    document ??= JSON.stringify(openApiDocument(version))
    return sendJson(reply, document)
  })
}
