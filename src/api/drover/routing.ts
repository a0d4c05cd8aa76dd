import type { FastifyReply, FastifyRequest } from 'fastify'
import { parseDurationMs } from '../../config/index.ts'
import { DroverError, type InferenceRequest } from '../../inference/index.ts'
import type { ApiContext } from '../context.ts'
import { readJson, sendJson } from '../http/index.ts'
import { toChat, toGenerate } from '../ollama/answer.ts'
import { explainRequest } from '../ollama/requests.ts'
import { modelRequired } from '../resolve.ts'
import { routingFor } from '../routing-wishes.ts'
import { drainRequest } from './requests.ts'

/** Grace of a drain that names none. */
const usualGraceMs = 30_000

/** `POST /api/route/explain`: where a chat or generate request would go, and why; nothing is run. */
export async function explain(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, explainRequest)
  const inference = body.messages ? toChat(body) : toGenerate(body)
  return explained(context, request, reply, inference)
}

/** `GET /api/route/explain?model=...&prompt=...`: the same for a bare prompt. */
export async function explainQuery(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const { model = '', prompt = '' } = request.query as { model?: string; prompt?: string }
  return explained(context, request, reply, toGenerate({ model: String(model), prompt: String(prompt) }))
}

async function explained(
  context: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
  inference: InferenceRequest,
) {
  if (inference.model === '') throw modelRequired
  request.exchange.model = inference.model
  const routing = await routingFor(context, request, inference)
  const explanation = await context.router.explain({ ...inference, routing }, request.exchange.signal)
  return sendJson(reply, JSON.stringify(explanation))
}

/** `POST /api/drain`: lets one instance end; its answers go on elsewhere after the grace. */
export async function drain(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const { instance = 0, grace } = await readJson(context, request, drainRequest)
  const graceMs = grace === undefined ? usualGraceMs : parseDurationMs(grace)
  if (graceMs === undefined || graceMs < 0) {
    throw new DroverError('invalid_request', `grace "${grace}" is no duration such as 30s or 0s`)
  }
  if (!context.router.drain(instance, graceMs)) {
    throw new DroverError('invalid_request', `no instance ${instance} is ready: GET /api/queue lists them`)
  }
  return sendJson(reply, JSON.stringify({ instance, graceMs }))
}
