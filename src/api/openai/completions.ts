import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  type ChatRequest,
  DroverError,
  type GenerateRequest,
  type InferenceRequest,
  type OutputFormat,
} from '../../inference/index.ts'
import { collectAnswer, type EventEncoder, openAnswer, streamAnswer, type WholeAnswer } from '../answer.ts'
import type { ApiContext } from '../context.ts'
import { toFormat } from '../format.ts'
import { readJson, sendJson } from '../http/index.ts'
import { multiGpuWishes } from '../multigpu/wishes.ts'
import { chatWording, generateWording, resolveModel } from '../resolve.ts'
import { toTools } from '../tools.ts'
import { chatCompletionJson, completionJson, createChatEncoder, createCompletionEncoder } from './encode.ts'
import { toMessages } from './messages.ts'
import {
  type ChatCompletionBody,
  type CompletionBody,
  chatCompletionRequest,
  completionRequest,
  goTypeOf,
  toSampling,
  toStops,
  toThink,
} from './requests.ts'

/** `POST /v1/chat/completions`. */
export async function chatCompletions(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, chatCompletionRequest, { acceptZstd: true })
  const { messages = [], model = '' } = body
  if (messages.length === 0) throw new DroverError('invalid_request', "[] is too short - 'messages'")
  const inference = toChat(body)
  checkTopLogprobs(body.top_logprobs)
  await resolveModel(context, request, model, chatWording)
  const format = toFormat(wantedFormat(body))
  return answer(context, request, reply, format === undefined ? inference : { ...inference, format }, {
    stream: body.stream === true,
    encoder: () => createChatEncoder(model, { includeUsage: body.stream_options?.include_usage === true }),
    whole: (whole) => chatCompletionJson(model, whole),
  })
}

/** `POST /v1/completions`. */
export async function completions(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, completionRequest, { acceptZstd: true })
  const { model = '' } = body
  const inference = toGenerate(body)
  checkTopLogprobs(Math.max(0, body.logprobs ?? 0))
  await resolveModel(context, request, model, generateWording)
  return answer(context, request, reply, inference, {
    stream: body.stream === true,
    encoder: () =>
      createCompletionEncoder(model, { includeUsage: body.stream_options?.include_usage === true }),
    whole: (whole) => completionJson(model, whole),
  })
}

interface Wire {
  stream: boolean
  encoder: () => EventEncoder
  whole: (answer: WholeAnswer) => string
}

async function answer(
  context: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
  inference: InferenceRequest,
  wire: Wire,
) {
  const opened = await openAnswer(context, request, inference)
  if (wire.stream) return streamAnswer(context, request, reply, opened, wire.encoder())
  return sendJson(reply, wire.whole(await collectAnswer(request, opened)))
}

function toChat(body: ChatCompletionBody): ChatRequest {
  // Items that are no text are passed over here and refused on /v1/completions, as in Ollama.
  const stop = toStops(body.stop, () => undefined)
  const think = toThink(body)
  return {
    kind: 'chat',
    model: body.model ?? '',
    messages: toMessages(body.messages ?? []),
    options: { ...toSampling(body), ...(stop?.length && { stop }) },
    ...(body.tools?.length && { tools: toTools(body.tools) }),
    ...(think !== undefined && { think }),
    ...(body.multi_gpu && { routing: multiGpuWishes(body.multi_gpu) }),
    ...(body.logprobs && { logprobs: true, topLogprobs: body.top_logprobs ?? 0 }),
  }
}

function wantedFormat({ response_format: wanted }: ChatCompletionBody): OutputFormat | unknown {
  const type = wanted?.type?.trim().toLowerCase()
  if (type === 'json_object') return 'json'
  return type === 'json_schema' ? wanted?.json_schema?.schema : undefined
}

function toGenerate(body: CompletionBody): GenerateRequest {
  const stop = toStops(body.stop, (item) => {
    throw new DroverError('invalid_request', `invalid type for 'stop' field: ${goTypeOf(item)}`)
  })
  const sampling = toSampling(body)
  return {
    kind: 'generate',
    model: body.model ?? '',
    prompt: body.prompt ?? '',
    // Of these, zero is absent to Ollama: they have no "unset" there.
    options: {
      frequency_penalty: 0,
      presence_penalty: 0,
      ...sampling,
      top_p: sampling.top_p || 1,
      ...(stop?.length && { stop }),
    },
    ...(body.suffix && { suffix: body.suffix }),
    ...(body.multi_gpu && { routing: multiGpuWishes(body.multi_gpu) }),
    ...(body.logprobs !== undefined && body.logprobs > 0 && { logprobs: true, topLogprobs: body.logprobs }),
  }
}

function checkTopLogprobs(count = 0): void {
  if (count < 0 || count > 20) {
    throw new DroverError('invalid_request', 'top_logprobs must be between 0 and 20')
  }
}
