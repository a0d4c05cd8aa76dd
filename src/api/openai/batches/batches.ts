import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ApiContext } from '../../context.ts'
import { jsonValue } from '../../go-json/index.ts'
import { readJson, sendJson } from '../../http/index.ts'
import { tenantOf } from '../../tenant.ts'
import { batchObject, listObject } from './encode.ts'
import { batchesOf } from './files.ts'
import { batchRequest, toBatchWish, toPage } from './requests.ts'

const batchId = (request: FastifyRequest) => (request.params as { batch: string }).batch

/** `POST /v1/batches`. */
export async function createBatch(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const wish = toBatchWish(await readJson(context, request, batchRequest))
  return sendJson(reply, jsonValue(batchObject(await batchesOf(context).create(tenantOf(request), wish))))
}

/** `GET /v1/batches`. */
export async function listBatches(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const page = toPage(request.query, { usual: 20, most: 100 })
  const batches = await batchesOf(context).list(tenantOf(request), page)
  return sendJson(reply, jsonValue(listObject(batches, batchObject)))
}

/** `GET /v1/batches/:batch`. */
export async function showBatch(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const batch = await batchesOf(context).batch(tenantOf(request), batchId(request))
  return sendJson(reply, jsonValue(batchObject(batch)))
}

/** `POST /v1/batches/:batch/cancel`. */
export async function cancelBatch(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const batch = await batchesOf(context).cancel(tenantOf(request), batchId(request))
  return sendJson(reply, jsonValue(batchObject(batch)))
}
