import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { randomId } from '../../../core/index.ts'
import type { MockCore } from '../core.ts'
import { type Call, type Dialect, plainRoute, workRoute } from '../http/call.ts'
import { respond, type StreamShape, sendJson, type WholeShape } from '../http/respond.ts'
import type { MockModel } from '../model.ts'
import { Refusal } from '../refusal.ts'
import type { Progress } from '../run.ts'
import { tokenize, vocabularySize } from '../tokenizer.ts'
import { messagesSchema, renderChat } from './chat.ts'
import { base64Of, embedAll } from './embedding.ts'
import { knownToken } from './llamacpp.ts'
import { timingsOf } from './timings.ts'

/** OpenAI's error envelope. */
export const openAi: Dialect = {
  refusal: (refusal) => JSON.stringify({ error: errorOf(refusal) }),
  broken: (refusal) => `data: ${JSON.stringify({ error: errorOf(refusal) })}\n\n`,
  outOfMemory: 'CUDA out of memory',
  refusesWhileLoading: true,
}

function errorOf({ status, message, type }: Refusal) {
  const code =
    status === 404
      ? 'model_not_found'
      : type === 'exceed_context_size_error'
        ? 'context_length_exceeded'
        : null
  return { message, type, param: null, code }
}

const settingsSchema = {
  model: z.string().optional(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).nullish(),
  max_tokens: z.int().min(0).nullish(),
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  seed: z.int().nullish(),
  n: z.literal(1, 'the mock engine makes one choice: leave n at 1').nullish(),
  ignore_eos: z.boolean().nullish(),
  cache_prompt: z.boolean().nullish(),
}
const chatSchema = z.looseObject({
  ...settingsSchema,
  messages: messagesSchema,
  max_completion_tokens: z.int().min(0).nullish(),
})
const tokensSchema = z.array(z.int())
const completionSchema = z.looseObject({
  ...settingsSchema,
  prompt: z.union([z.string(), tokensSchema, z.tuple([z.union([z.string(), tokensSchema])])]),
})
const embeddingSchema = z.looseObject({
  model: z.string().optional(),
  input: z.union([z.string(), z.array(z.string()), tokensSchema, z.array(tokensSchema)]),
  dimensions: z.int().min(1).nullish(),
  encoding_format: z.enum(['float', 'base64']).nullish(),
})
type Settings = z.infer<z.ZodObject<typeof settingsSchema>>

/** The routes under `/v1`, as OpenAI, llama-server and vLLM have them. */
export function openAiRoutes(app: FastifyInstance, core: MockCore): void {
  app.post(
    '/v1/chat/completions',
    workRoute(core, openAi, chatSchema, (call, body) => {
      const prompt = tokenize(renderChat(body.messages))
      const maxTokens = body.max_completion_tokens ?? body.max_tokens
      return answer(core, call, { ...body, max_tokens: maxTokens }, prompt, chatFormat)
    }),
  )
  app.post(
    '/v1/completions',
    workRoute(core, openAi, completionSchema, (call, body) =>
      answer(core, call, body, promptOf(body.prompt), textFormat),
    ),
  )
  app.post(
    '/v1/embeddings',
    workRoute(core, openAi, embeddingSchema, (call, body) => embed(core, call, body)),
  )
  for (const path of ['/v1/models', '/models']) {
    app.get(
      path,
      listRoute(core, () => ({ object: 'list', data: core.models.map((one) => cardOf(core, one)) })),
    )
  }
  app.get(
    '/v1/models/*',
    listRoute(core, (request) => cardOf(core, core.modelOf((request.params as { '*': string })['*']))),
  )
}

function listRoute(core: MockCore, handle: (request: FastifyRequest) => unknown) {
  return plainRoute(openAi, (request) => {
    if (core.starting()) throw new Refusal(503, 'Loading model')
    return handle(request)
  })
}

function promptOf(prompt: z.infer<typeof completionSchema>['prompt']): number[] {
  if (typeof prompt === 'string') return tokenize(prompt)
  const [first] = prompt
  if (prompt.length === 1 && typeof first === 'string') return tokenize(first)
  return prompt.flat().map((token) => knownToken(Number(token)))
}

/** How chat and text completions differ. */
interface Format {
  prefix: string
  object: string
  chunkObject: string
  whole(text: string): object
  /** A piece; the first one of a chat says whose it is. */
  piece(text: string, first: boolean): object
  last: object
  usesRole: boolean
}

const chatFormat: Format = {
  prefix: 'chatcmpl',
  object: 'chat.completion',
  chunkObject: 'chat.completion.chunk',
  whole: (content) => ({ message: { role: 'assistant', content } }),
  piece: (content, first) => ({ delta: { ...(first && { role: 'assistant' }), content } }),
  last: { delta: {} },
  usesRole: true,
}
const textFormat: Format = {
  prefix: 'cmpl',
  object: 'text_completion',
  chunkObject: 'text_completion',
  whole: (text) => ({ text }),
  piece: (text) => ({ text }),
  last: { text: '' },
  usesRole: false,
}

function answer(core: MockCore, call: Call, body: Settings, prompt: number[], format: Format): Promise<void> {
  const model = core.modelOf(body.model)
  const shown = call.faults.wrongModel ?? model.name
  const work = {
    prompt,
    maxTokens: body.max_tokens ?? undefined,
    stop: body.stop == null ? [] : [body.stop].flat(),
    seed: Math.max(0, body.seed ?? 0),
    ignoreEos: body.ignore_eos ?? false,
    cachePrompt: body.cache_prompt ?? true,
  }
  const shape = body.stream ? streamShape(body, shown, format) : wholeShape(shown, format)
  return respond(core, call, model, work, shape)
}

const nowSeconds = () => Math.floor(Date.now() / 1000)
const finishReason = ({ answer: { ending } }: Progress) => (ending === 'limit' ? 'length' : 'stop')

function streamShape(body: Settings, model: string, format: Format): StreamShape {
  const head = {
    id: `${format.prefix}-${randomId(12)}`,
    object: format.chunkObject,
    created: nowSeconds(),
    model,
    system_fingerprint: 'drover-mock-engine',
  }
  const includeUsage = body.stream_options?.include_usage === true
  // With usage asked for, every piece has a place for it.
  const noUsage = includeUsage ? { usage: null } : {}
  const frame = (choices: object[], more: object) =>
    `data: ${JSON.stringify({ ...head, choices, ...more })}\n\n`
  let first = true
  const piece = (text: string) => {
    const choice = { index: 0, ...format.piece(text, first), logprobs: null, finish_reason: null }
    first = false
    return frame([choice], noUsage)
  }
  return {
    contentType: 'text/event-stream',
    piece: ({ text }) => piece(text),
    end(progress) {
      const opening = first && format.usesRole ? piece('') : ''
      const choice = { index: 0, ...format.last, logprobs: null, finish_reason: finishReason(progress) }
      const finish = frame([choice], { ...noUsage, timings: timingsOf(progress) })
      const usage = includeUsage ? frame([], { usage: usageOf(progress) }) : ''
      return `${opening}${finish}${usage}data: [DONE]\n\n`
    },
    malformed: `data: {"id":"${head.id}","choices":[{"delta"\n\n`,
  }
}

function wholeShape(model: string, format: Format): WholeShape {
  return (progress) =>
    JSON.stringify({
      id: `${format.prefix}-${randomId(12)}`,
      object: format.object,
      created: nowSeconds(),
      model,
      system_fingerprint: 'drover-mock-engine',
      choices: [
        {
          index: 0,
          ...format.whole(progress.answer.text),
          logprobs: null,
          finish_reason: finishReason(progress),
        },
      ],
      usage: usageOf(progress),
      timings: timingsOf(progress),
    })
}

function usageOf({ promptTokens, cachedTokens, produced }: Progress) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: produced,
    total_tokens: promptTokens + produced,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  }
}

async function embed(core: MockCore, call: Call, body: z.infer<typeof embeddingSchema>): Promise<void> {
  const model = core.modelOf(body.model)
  const inputs = inputsOf(body.input)
  const { vectors, promptTokens } = await embedAll(core, call, model, inputs, body.dimensions ?? undefined)
  const write = body.encoding_format === 'base64' ? base64Of : (vector: Float32Array) => [...vector]
  const data = vectors.map((vector, index) => ({ object: 'embedding', index, embedding: write(vector) }))
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens }
  const name = call.faults.wrongModel ?? model.name
  sendJson(call, JSON.stringify({ object: 'list', data, model: name, usage }))
}

/** Texts, or tokens: one input or several. */
function inputsOf(input: z.infer<typeof embeddingSchema>['input']): number[][] {
  if (typeof input === 'string') return [tokenize(input)]
  if (input.every((one) => typeof one === 'number')) return [input.map(knownToken)]
  return input.map((one) => (typeof one === 'string' ? tokenize(one) : [one].flat().map(knownToken)))
}

function cardOf({ settings }: MockCore, { name }: MockModel) {
  const meta = {
    n_vocab: vocabularySize,
    n_ctx: settings.contextTokens,
    n_embd: settings.embeddingDimensions,
  }
  return {
    id: name,
    object: 'model',
    created: 0,
    owned_by: 'drover-mock-engine',
    max_model_len: settings.contextTokens,
    meta,
  }
}
