import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { MockCore } from '../core.ts'
import { type Call, type Dialect, plainRoute, readBody, workRoute } from '../http/call.ts'
import { respond, type StreamShape, sendJson, type WholeShape } from '../http/respond.ts'
import { Refusal } from '../refusal.ts'
import type { Progress } from '../run.ts'
import { bytesOf, detokenize, tokenize, vocabularySize } from '../tokenizer.ts'
import { chatTemplate, messagesSchema, renderChat } from './chat.ts'
import { embedAll } from './embedding.ts'
import { metricsText } from './metrics.ts'
import { slotRoutes } from './slot-files.ts'
import { timingsOf } from './timings.ts'

/** llama-server's envelope, of `/v1` too. */
export const llamaCpp: Dialect = {
  refusal: (refusal) => JSON.stringify({ error: errorOf(refusal) }),
  broken: (refusal) => `data: ${JSON.stringify({ error: errorOf(refusal) })}\n\n`,
  outOfMemory: 'failed to decode: CUDA error: out of memory',
  refusesWhileLoading: true,
}

function errorOf({ status, message, type, details }: Refusal) {
  return { code: status, message, type, ...details }
}

const promptSchema = z.union([
  z.string(),
  z.array(z.union([z.string(), z.int()])),
  z.looseObject({ prompt_string: z.string() }),
])

const completionSchema = z.looseObject({
  prompt: promptSchema,
  stream: z.boolean().default(false),
  n_predict: z.int().default(-1),
  stop: z.union([z.string(), z.array(z.string())]).default([]),
  seed: z.int().default(-1),
  id_slot: z.int().default(-1),
  cache_prompt: z.boolean().default(true),
  return_tokens: z.boolean().default(false),
  return_progress: z.boolean().default(false),
  timings_per_token: z.boolean().default(false),
  ignore_eos: z.boolean().default(false),
  response_fields: z.array(z.string()).optional(),
})
type Completion = z.infer<typeof completionSchema>

/** The routes that llama-server has beside OpenAI's. */
export function llamaCppRoutes(app: FastifyInstance, core: MockCore): void {
  const plain = (handle: (request: FastifyRequest) => unknown) => plainRoute(llamaCpp, handle)
  const ready = (handle: (request: FastifyRequest) => unknown) =>
    plain((request) => {
      if (core.starting()) throw new Refusal(503, 'Loading model')
      return handle(request)
    })

  for (const path of ['/health', '/v1/health']) {
    app.get(
      path,
      { config: { health: true } },
      ready(() => ({ status: 'ok' })),
    )
  }
  app.get(
    '/props',
    ready(() => propsOf(core)),
  )
  app.get(
    '/metrics',
    plainRoute(llamaCpp, () => metricsText(core)),
  )
  app.post(
    '/tokenize',
    ready((request) => tokenized(readBody(request, tokenizeSchema))),
  )
  app.post(
    '/detokenize',
    ready((request) => detokenized(readBody(request, detokenizeSchema))),
  )
  app.post(
    '/apply-template',
    ready((request) => ({ prompt: renderChat(readBody(request, templateSchema).messages) })),
  )
  app.get(
    '/lora-adapters',
    ready(() => []),
  )
  for (const path of ['/completion', '/completions']) {
    app.post(
      path,
      workRoute(core, llamaCpp, completionSchema, (call, body) => complete(core, call, body)),
    )
  }
  for (const path of ['/embedding', '/embeddings']) {
    app.post(
      path,
      workRoute(core, llamaCpp, embeddingSchema, (call, body) => embed(core, call, body)),
    )
  }
  slotRoutes(app, core, ready)
}

/** A prompt's tokens: a text, tokens and texts mixed, or a text with its pictures. */
function promptOf(prompt: z.infer<typeof promptSchema>): number[] {
  if (typeof prompt === 'string') return tokenize(prompt)
  if (!Array.isArray(prompt)) return tokenize(prompt.prompt_string)
  return prompt.flatMap((part) => (typeof part === 'string' ? tokenize(part) : knownToken(part)))
}

/** A token, or a refusal where the number is none. */
export function knownToken(token: number): number {
  try {
    bytesOf(token)
    return token
  } catch (error) {
    throw new Refusal(400, error instanceof Error ? error.message : `${token} is no token`)
  }
}

async function complete(core: MockCore, call: Call, body: Completion): Promise<void> {
  const { n_predict: maxTokens, seed, id_slot: slot } = body
  const work = {
    prompt: promptOf(body.prompt),
    stop: typeof body.stop === 'string' ? [body.stop] : body.stop,
    cachePrompt: body.cache_prompt,
    ignoreEos: body.ignore_eos,
    // The mock chooses nothing at random: without a seed it is the first one.
    seed: Math.max(0, seed),
    ...(maxTokens >= 0 && { maxTokens }),
    ...(slot >= 0 && { slot }),
  }
  const model = call.faults.wrongModel ?? core.first.name
  await respond(
    core,
    call,
    core.first,
    work,
    body.stream ? streamShape(body, model) : wholeShape(body, model),
  )
}

function streamShape(body: Completion, model: string): StreamShape {
  let told = -1
  const frame = (event: object) => `data: ${JSON.stringify(event)}\n\n`
  const head = (progress: Progress, count: number) => ({
    stop: false,
    id_slot: progress.slot,
    tokens_predicted: count,
    tokens_evaluated: progress.promptTokens,
  })
  return {
    contentType: 'text/event-stream',
    prefill(progress) {
      if (!body.return_progress || !progress.started || progress.processedTokens === told) return ''
      told = progress.processedTokens
      const { promptTokens: total, cachedTokens: cache, processedTokens: processed } = progress
      const time = { total, cache, processed, time_ms: Math.round(progress.promptMs) }
      return frame({ index: 0, content: '', tokens: [], ...head(progress, 0), prompt_progress: time })
    },
    piece: ({ text, tokens }, progress, count) =>
      frame({
        index: 0,
        content: text,
        tokens,
        ...head(progress, count),
        ...(body.timings_per_token && { timings: timingsOf(progress) }),
      }),
    end: (progress) => frame(fieldsOf(finalOf(progress, body, model, { content: '', tokens: [] }), body)),
    malformed: 'data: {"index":0,"content":"\n\n',
  }
}

function wholeShape(body: Completion, model: string): WholeShape {
  return (progress) => {
    const { text, tokens } = progress.answer
    const content = { content: text, tokens: body.return_tokens ? tokens : [] }
    return JSON.stringify(fieldsOf(finalOf(progress, body, model, content), body))
  }
}

function finalOf(
  progress: Progress,
  body: Completion,
  model: string,
  content: object,
): Record<string, unknown> {
  const { answer, promptTokens, produced } = progress
  return {
    index: 0,
    ...content,
    id_slot: progress.slot,
    stop: true,
    model,
    tokens_predicted: produced,
    tokens_evaluated: promptTokens,
    generation_settings: { n_predict: body.n_predict, seed: body.seed, stop: body.stop, stream: body.stream },
    prompt: typeof body.prompt === 'string' ? body.prompt : '',
    has_new_line: answer.text.includes('\n'),
    truncated: false,
    stop_type: answer.ending,
    stopping_word: answer.stopWord,
    tokens_cached: promptTokens + produced,
    timings: timingsOf(progress),
  }
}

/** The fields that were asked for; `settings/name` names one within another. */
function fieldsOf(event: Record<string, unknown>, { response_fields: wanted }: Completion): object {
  if (!wanted?.length) return event
  const found: Record<string, unknown> = {}
  for (const field of wanted) {
    const parts = field.split('/')
    let value: unknown = event
    for (const part of parts) value = (value as Record<string, unknown> | undefined)?.[part]
    if (value !== undefined) found[parts.at(-1) ?? field] = value
  }
  return found
}

const tokenizeSchema = z.looseObject({
  content: z.string(),
  parse_special: z.boolean().default(true),
  with_pieces: z.boolean().default(false),
})

/** The mock's vocabulary has no beginning-of-sequence token, so `add_special` adds nothing. */
function tokenized({ content, with_pieces: withPieces, ...body }: z.infer<typeof tokenizeSchema>) {
  const tokens = tokenize(content, { parseSpecial: body.parse_special })
  return { tokens: withPieces ? tokens.map((id) => ({ id, piece: pieceOf(id) })) : tokens }
}

function pieceOf(token: number): string | number[] {
  const bytes = bytesOf(token)
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) ? text : [...bytes]
}

const detokenizeSchema = z.looseObject({ tokens: z.array(z.int()) })

function detokenized({ tokens }: z.infer<typeof detokenizeSchema>) {
  return { content: detokenize(tokens.map(knownToken)) }
}

const templateSchema = z.looseObject({ messages: messagesSchema })

const embeddingSchema = z.looseObject({
  content: z.union([z.string(), z.array(z.string())]).optional(),
  input: z.union([z.string(), z.array(z.string())]).optional(),
})

async function embed(core: MockCore, call: Call, body: z.infer<typeof embeddingSchema>): Promise<void> {
  const inputs = [body.content ?? body.input ?? []].flat().map((text) => tokenize(text))
  const { vectors } = await embedAll(core, call, core.first, inputs)
  sendJson(call, JSON.stringify(vectors.map((vector, index) => ({ index, embedding: [[...vector]] }))))
}

function propsOf({ settings, first }: MockCore) {
  return {
    default_generation_settings: {
      n_ctx: settings.contextTokens,
      params: { n_predict: -1, seed: 0xffff_ffff, temperature: 0, stream: true },
    },
    total_slots: settings.engine.slots,
    model_alias: first.name,
    model_path: `${first.name}.gguf`,
    modalities: { vision: false, audio: false },
    chat_template: chatTemplate,
    bos_token: '',
    eos_token: '<|im_end|>',
    n_vocab: vocabularySize,
    build_info: 'drover-mock-engine',
    is_sleeping: false,
  }
}
