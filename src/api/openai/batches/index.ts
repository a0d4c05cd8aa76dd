import type { FastifyInstance } from 'fastify'
import type { ApiContext, Handler } from '../../context.ts'
import { cancelBatch, createBatch, listBatches, showBatch } from './batches.ts'
import { deleteFile, fileContent, listFiles, showFile, uploadFile } from './files.ts'

export { createBatchExecutor } from './execute.ts'

/** Files, and batches of requests that are answered when nobody else wants the engines. */
export function batchRoutes(app: FastifyInstance, context: ApiContext): void {
  const route = (method: 'GET' | 'POST' | 'DELETE', url: string, handler: Handler) =>
    app.route({ method, url, handler: (request, reply) => handler(context, request, reply) })

  route('POST', '/v1/files', uploadFile)
  route('GET', '/v1/files', listFiles)
  route('GET', '/v1/files/:file', showFile)
  route('GET', '/v1/files/:file/content', fileContent)
  route('DELETE', '/v1/files/:file', deleteFile)
  route('POST', '/v1/batches', createBatch)
  route('GET', '/v1/batches', listBatches)
  route('GET', '/v1/batches/:batch', showBatch)
  route('POST', '/v1/batches/:batch/cancel', cancelBatch)
}
