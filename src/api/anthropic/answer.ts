import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ChatRequest, ModelOptions, OutputFormat, Think } from '../../inference/index.ts'
import { collectAnswer, openAnswer, streamAnswer } from '../answer.ts'
import type { ApiContext } from '../context.ts'
import { readJson, sendJson } from '../http/index.ts'
import { chatWording, modelRequired, resolveModel } from '../resolve.ts'
import { refuse } from './content.ts'
import { createMessageEncoder, type MessageFacts, messageJson, newId } from './encode.ts'
import { estimateTokens } from './estimate.ts'
import { toMessages } from './messages.ts'
import { type CountTokensBody, countTokensRequest, type MessagesBody, messagesRequest } from './requests.ts'
import { offersWebSearch, toTools } from './tools.ts'

/** The id that a reply's header and its error tell. */
export const requestIdOf = (reply: FastifyReply) => String(reply.raw.getHeader('request-id'))

/** `POST /v1/messages`: a conversation to continue. */
export async function messages(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, messagesRequest, { acceptZstd: true })
  if (!body.model) throw modelRequired
  if ((body.max_tokens ?? 0) <= 0) throw refuse('max_tokens is required and must be positive')
  const inference = await toChat(context, request, body, toOptions(body))
  const opened = await openAnswer(context, request, inference)
  const facts: MessageFacts = {
    id: newId('msg'),
    requestId: requestIdOf(reply),
    model: inference.model,
    stopSequences: body.stop_sequences ?? [],
    searches: offersWebSearch(body.tools),
  }
  if (!body.stream) return sendJson(reply, messageJson(facts, await collectAnswer(request, opened)))
  reply.raw.setHeader('cache-control', 'no-cache')
  await streamAnswer(context, request, reply, opened, createMessageEncoder(facts, estimateTokens(inference)))
}

/** `POST /v1/messages/count_tokens`: how long the prompt of a conversation is, by the model's own tokenizer. */
export async function countTokens(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, countTokensRequest, { acceptZstd: true })
  const inference = await toChat(context, request, body, {})
  const tokens = await context.router.countTokens(inference, request.exchange.signal)
  return sendJson(reply, `{"input_tokens":${tokens}}`)
}

/** In the order of Ollama's own checks: the body first, then the model. */
async function toChat(
  context: ApiContext,
  request: FastifyRequest,
  body: CountTokensBody,
  options: ModelOptions,
): Promise<ChatRequest> {
  const { model = '', system, messages: turns = [] } = body
  if (model === '') throw modelRequired
  if (turns.length === 0) throw refuse('messages is required')
  const conversation = toMessages(system, turns)
  if (conversation.length === 0) throw refuse('messages: at least one message must have content')
  const tools = toTools(body)
  const format = toFormat(body)
  const stored = await resolveModel(context, request, model, chatWording)
  const { stop } = options
  const think = toThink(body)
  // Clients ask every model to think; one that cannot answers without.
  const canThink = !think || (await context.store.describe(stored)).capabilities.includes('thinking')
  return {
    kind: 'chat',
    model,
    messages: conversation,
    // The client's stops are beside the model's: an answer that runs past its turn is no use to anyone.
    options: stop
      ? { ...options, stop: [...new Set([...(stored.parameters.stop ?? []), ...stop])] }
      : options,
    ...(tools.length > 0 && { tools }),
    ...(format !== undefined && { format }),
    ...(think !== undefined && canThink && { think }),
  }
}

/** What is absent is the model's own value, or Ollama's default. */
function toOptions({ max_tokens: maxTokens, temperature, top_p, top_k, stop_sequences: stop }: MessagesBody) {
  return {
    ...(maxTokens !== undefined && { num_predict: maxTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(top_p !== undefined && { top_p }),
    ...(top_k !== undefined && { top_k }),
    ...(stop?.length && { stop }),
  }
}

const efforts = new Map<string, Think>([
  ['low', 'low'],
  ['medium', 'medium'],
  ['high', 'high'],
  ['xhigh', 'high'],
  ['max', 'max'],
])

/** `thinking` says whether, `effort` how hard. Neither, or `adaptive`, leaves it to the model. */
function toThink({ thinking, output_config: output }: CountTokensBody): Think | undefined {
  if (thinking?.type === 'disabled') return false
  const effort = efforts.get((output?.effort ?? '').trim().toLowerCase())
  return effort ?? (thinking?.type === 'enabled' ? true : undefined)
}

function toFormat({ output_config: output }: CountTokensBody): OutputFormat | undefined {
  const { type, schema } = output?.format ?? {}
  if (type !== 'json_schema') return undefined
  if (typeof schema === 'object' && schema !== null && !Array.isArray(schema)) {
    return schema as Record<string, unknown>
  }
  throw refuse('output_config.format.schema: must be a JSON Schema object')
}
