import type { FastifyReply, FastifyRequest } from 'fastify'
import type { StoredModel } from '../../models/index.ts'
import type { ApiContext } from '../context.ts'
import { jsonValue } from '../go-json/index.ts'
import { sendJson } from '../http/index.ts'
import { resolveModel, showWording } from '../resolve.ts'

/** `GET /v1/models`. */
export async function models(context: ApiContext, _request: FastifyRequest, reply: FastifyReply) {
  const stored = await context.store.list()
  const data = stored.length === 0 ? null : stored.map((model) => modelCard(model, model.displayName))
  return sendJson(reply, jsonValue({ object: 'list', data }))
}

/** `GET /v1/models/:model`. */
export async function model(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const { model: name } = request.params as { model: string }
  // Ollama matches one segment of the decoded path, so a name with a namespace is no page.
  if (name === '' || name.includes('/')) return reply.callNotFound()
  const stored = await resolveModel(context, request, name, showWording)
  return sendJson(reply, jsonValue(modelCard(stored, name)))
}

function modelCard(stored: StoredModel, id: string) {
  return {
    id,
    object: 'model',
    created: Math.floor(stored.modifiedAtMs / 1000),
    owned_by: stored.name.namespace,
  }
}
