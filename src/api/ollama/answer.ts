import type { FastifyReply, FastifyRequest } from 'fastify'
import { type ChatRequest, DroverError, type GenerateRequest } from '../../inference/index.ts'
import { collectAnswer, openAnswer, streamAnswer } from '../answer.ts'
import type { ApiContext } from '../context.ts'
import { toFormat } from '../format.ts'
import { readJson, sendJson } from '../http/index.ts'
import { multiGpuWishes } from '../multigpu/wishes.ts'
import { toModelOptions } from '../options.ts'
import { chatWording, generateWording, type NotFoundWording, resolveModel } from '../resolve.ts'
import { toTools } from '../tools.ts'
import { createLineEncoder, lifecycleJson, renderedJson, wholeAnswerJson } from './encode.ts'
import { type ChatBody, chatRequest, type GenerateBody, generateRequest, toMessage } from './requests.ts'

/** `POST /api/generate`: a prompt to complete; without one, a model to load or, with `keep_alive` 0, to unload. */
export async function generate(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, generateRequest)
  const inference = await decodeRequest(context, request, body, generateWording, () => toGenerate(body))
  return answer(context, request, reply, inference, body)
}

/** `POST /api/chat`: a conversation to continue; without messages, a model to load or unload. */
export async function chat(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, chatRequest)
  const inference = await decodeRequest(context, request, body, chatWording, () => toChat(body))
  return answer(context, request, reply, inference, body)
}

/** In the order of Ollama's own checks: what needs no model, then the model's name, then options and format. */
async function decodeRequest<T>(
  context: ApiContext,
  request: FastifyRequest,
  body: GenerateBody | ChatBody,
  wording: NotFoundWording,
  decode: () => T,
): Promise<T> {
  const { top_logprobs: topLogprobs = 0 } = body
  if (topLogprobs < 0 || topLogprobs > 20) {
    throw new DroverError('invalid_request', 'top_logprobs must be between 0 and 20')
  }
  await resolveModel(context, request, body.model ?? '', wording)
  return decode()
}

export function toGenerate(body: GenerateBody): GenerateRequest {
  const { prompt = '', suffix, system, template, context, raw, images } = body
  const unloads = prompt === '' && body.keep_alive === 0
  if (!unloads && raw && (template || system || context?.length)) {
    throw new DroverError('invalid_request', 'raw mode does not support template, system, or context')
  }
  return {
    kind: 'generate',
    ...toCommon(body),
    prompt,
    ...(suffix && { suffix }),
    ...(images?.length && { images }),
    ...(system && { system }),
    ...(template && { template }),
    ...(raw && { raw }),
    ...(context?.length && { context }),
  }
}

export function toChat(body: ChatBody): ChatRequest {
  return {
    kind: 'chat',
    ...toCommon(body),
    messages: (body.messages ?? []).map(toMessage),
    ...(body.tools?.length && { tools: toTools(body.tools) }),
  }
}

function toCommon(body: GenerateBody | ChatBody) {
  const format = toFormat(body.format)
  return {
    model: body.model ?? '',
    options: toModelOptions(body.options),
    ...(format !== undefined && { format }),
    ...(body.multi_gpu && { routing: multiGpuWishes(body.multi_gpu) }),
    ...(body.think !== undefined && { think: body.think }),
    ...(body.keep_alive !== undefined && { keepAliveMs: body.keep_alive }),
    ...(body.truncate !== undefined && { truncate: body.truncate }),
    ...(body.shift !== undefined && { shift: body.shift }),
    ...(body.logprobs && { logprobs: true, topLogprobs: body.top_logprobs ?? 0 }),
  }
}

async function answer(
  context: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
  inference: GenerateRequest | ChatRequest,
  body: GenerateBody | ChatBody,
) {
  const { kind, model } = inference
  if (body._debug_render_only) {
    const rendered = await context.router.render(inference, request.exchange.signal)
    return sendJson(reply, renderedJson(kind, model, rendered))
  }
  const opened = await openAnswer(context, request, inference)
  const { first } = opened
  if (first.type === 'done' && (first.reason === 'load' || first.reason === 'unload')) {
    await opened.rest.return?.()
    return sendJson(reply, lifecycleJson(kind, model, first.reason))
  }
  if (body.stream === false) {
    return sendJson(reply, wholeAnswerJson(kind, model, await collectAnswer(request, opened)))
  }
  await streamAnswer(context, request, reply, opened, createLineEncoder(kind, model))
}
