import type { FastifyReply, FastifyRequest } from 'fastify'
import { collectAnswer, openAnswer, streamAnswer } from '../../answer.ts'
import type { ApiContext } from '../../context.ts'
import { readJson, sendJson } from '../../http/index.ts'
import { chatWording, resolveModel } from '../../resolve.ts'
import { createResponsesEncoder, responseJson } from './encode.ts'
import { responsesRequest, toChatRequest } from './request.ts'

/** `POST /v1/responses`. Nothing is kept: every request brings its whole conversation. */
export async function responses(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, responsesRequest, { acceptZstd: true })
  const inference = toChatRequest(body)
  await resolveModel(context, request, inference.model, chatWording)
  const opened = await openAnswer(context, request, inference)
  if (body.stream) return streamAnswer(context, request, reply, opened, createResponsesEncoder(body))
  return sendJson(reply, responseJson(body, await collectAnswer(request, opened)))
}
