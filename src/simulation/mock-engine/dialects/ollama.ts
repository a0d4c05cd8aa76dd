import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { ollamaVersion } from '../../../config/index.ts'
import type { MockCore } from '../core.ts'
import { type Call, type Dialect, plainRoute, readBody, workRoute } from '../http/call.ts'
import { respond, type StreamShape, sendJson, type WholeShape } from '../http/respond.ts'
import type { MockModel } from '../model.ts'
import { Refusal } from '../refusal.ts'
import type { Progress } from '../run.ts'
import { tokenize } from '../tokenizer.ts'
import { messagesSchema, renderChat } from './chat.ts'
import { embedAll } from './embedding.ts'
import { readKeepAlive } from './keep-alive.ts'
import { knownToken } from './llamacpp.ts'
import { listedModel, runningModel, shownModel } from './ollama-models.ts'

/** Ollama's error envelope. */
export const ollama: Dialect = {
  refusal: ({ message }) => JSON.stringify({ error: message }),
  broken: ({ message }) => `${JSON.stringify({ error: message })}\n`,
  outOfMemory: 'model requires more system memory than is available: CUDA error: out of memory',
  // Ollama takes a request at once and answers when the model is there.
  refusesWhileLoading: false,
}

const settingsSchema = {
  model: z.string().optional(),
  stream: z.boolean().default(true),
  keep_alive: z.union([z.string(), z.number()]).optional(),
  truncate: z.boolean().default(true),
  options: z
    .looseObject({
      num_predict: z.int().optional(),
      seed: z.int().optional(),
      stop: z.union([z.string(), z.array(z.string())]).optional(),
    })
    .nullish(),
}
const generateSchema = z.looseObject({
  ...settingsSchema,
  prompt: z.string().default(''),
  system: z.string().nullish(),
  raw: z.boolean().default(false),
  context: z.array(z.int()).nullish(),
})
const chatSchema = z.looseObject({ ...settingsSchema, messages: messagesSchema.default([]) })
type Settings = z.infer<z.ZodObject<typeof settingsSchema>>

/** The routes that Ollama has for models that are there. */
export function ollamaRoutes(app: FastifyInstance, core: MockCore): void {
  const plain = (handle: (request: FastifyRequest) => unknown) => plainRoute(ollama, handle)
  app.get('/', { config: { health: true } }, async () => 'Ollama is running')
  app.get(
    '/api/version',
    { config: { health: true } },
    plain(() => ({ version: ollamaVersion })),
  )
  app.get(
    '/api/tags',
    plain(() => ({ models: core.models.map((model) => listedModel(core, model)) })),
  )
  app.get(
    '/api/ps',
    plain(() => {
      const loaded = core.models.filter((model) => model.isLoaded())
      return { models: loaded.map((model) => runningModel(core, model)) }
    }),
  )
  app.post(
    '/api/show',
    plain((request) => showModel(core, request)),
  )
  app.post(
    '/api/generate',
    workRoute(core, ollama, generateSchema, (call, body) => {
      const earlier = (body.context ?? []).map(knownToken)
      const prompt = body.raw ? body.prompt : renderPrompt(body.prompt, body.system)
      const tokens = body.prompt === '' ? undefined : [...earlier, ...tokenize(prompt)]
      return answer(core, call, body, tokens, body.raw ? 'raw' : 'generate')
    }),
  )
  app.post(
    '/api/chat',
    workRoute(core, ollama, chatSchema, (call, body) => {
      const tokens = body.messages.length === 0 ? undefined : tokenize(renderChat(body.messages))
      return answer(core, call, body, tokens, 'chat')
    }),
  )
  app.post(
    '/api/embed',
    workRoute(core, ollama, embedSchema, (call, body) => embed(core, call, body)),
  )
  app.post(
    '/api/embeddings',
    workRoute(core, ollama, embeddingSchema, (call, body) => embedOne(core, call, body)),
  )
}

function renderPrompt(prompt: string, system: string | null | undefined): string {
  const instruction = system ? [{ role: 'system', content: system }] : []
  return renderChat([...instruction, { role: 'user', content: prompt }])
}

const showSchema = z.looseObject({ model: z.string().optional(), name: z.string().optional() })

function showModel(core: MockCore, request: FastifyRequest) {
  const { model, name } = readBody(request, showSchema)
  return shownModel(core, core.modelOf(model ?? name))
}

type Kind = 'generate' | 'raw' | 'chat'

/** Answers a prompt; without one the model is loaded, or let go. */
async function answer(
  core: MockCore,
  call: Call,
  body: Settings,
  tokens: number[] | undefined,
  kind: Kind,
): Promise<void> {
  const model = core.modelOf(body.model)
  const keepMs = readKeepAlive(body.keep_alive)
  const name = call.faults.wrongModel ?? body.model ?? model.name
  if (tokens === undefined) return loadOnly(call, model, keepMs, { kind, name })
  const loadMs = await loadFor(core, call, model)
  const { num_predict: maxTokens = -1, seed = 0, stop = [] } = body.options ?? {}
  const work = {
    prompt: fitted(core, tokens, body.truncate),
    stop: [stop].flat(),
    seed: Math.max(0, seed),
    ...(maxTokens >= 0 && { maxTokens }),
  }
  const metrics = (progress: Progress) => ({
    ...(kind === 'generate' && { context: [...work.prompt, ...progress.answer.tokens] }),
    ...metricsOf(progress, loadMs, core.settings.clock.monotonicMs() - call.beganMs),
  })
  const shape = body.stream ? streamShape(kind, name, metrics) : wholeShape(kind, name, metrics)
  try {
    await respond(core, call, model, work, shape)
  } finally {
    model.keep(keepMs)
  }
}

/** Waits until the model is loaded; the milliseconds that it took. */
async function loadFor({ settings: { clock } }: MockCore, call: Call, model: MockModel): Promise<number> {
  const beganMs = clock.monotonicMs()
  await model.load(call.signal)
  return clock.monotonicMs() - beganMs
}

async function loadOnly(
  call: Call,
  model: MockModel,
  keepMs: number,
  { kind, name }: { kind: Kind; name: string },
): Promise<void> {
  if (keepMs > 0) await model.load(call.signal)
  model.keep(keepMs)
  const done = { done: true, done_reason: keepMs > 0 ? 'load' : 'unload' }
  sendJson(call, JSON.stringify({ ...headOf(name), ...contentOf(kind, ''), ...done }))
}

/** Ollama cuts a prompt that is too long, unless it is told not to. */
function fitted({ settings }: MockCore, tokens: number[], truncate: boolean): number[] {
  const most = settings.contextTokens - 1
  if (tokens.length <= most) return tokens
  if (!truncate) throw new Refusal(400, 'the prompt is longer than the context length of the model')
  return tokens.slice(-most)
}

const headOf = (model: string) => ({ model, created_at: new Date().toISOString() })

function contentOf(kind: Kind, text: string): object {
  return kind === 'chat' ? { message: { role: 'assistant', content: text } } : { response: text }
}

type Metrics = (progress: Progress) => object
const doneReason = ({ answer: { ending } }: Progress) => (ending === 'limit' ? 'length' : 'stop')

function streamShape(kind: Kind, model: string, metrics: Metrics): StreamShape {
  const line = (value: object) => `${JSON.stringify(value)}\n`
  return {
    contentType: 'application/x-ndjson',
    piece: ({ text }) => line({ ...headOf(model), ...contentOf(kind, text), done: false }),
    end: (progress) =>
      line({
        ...headOf(model),
        ...contentOf(kind, ''),
        done: true,
        done_reason: doneReason(progress),
        ...metrics(progress),
      }),
    malformed: `{"model":${JSON.stringify(model)},"response":"\n`,
  }
}

function wholeShape(kind: Kind, model: string, metrics: Metrics): WholeShape {
  return (progress) =>
    JSON.stringify({
      ...headOf(model),
      ...contentOf(kind, progress.answer.text),
      done: true,
      done_reason: doneReason(progress),
      ...metrics(progress),
    })
}

const nanoseconds = (ms: number) => Math.round(ms * 1e6)

function metricsOf(
  { promptTokens, promptMs, produced, outputMs }: Progress,
  loadMs: number,
  totalMs: number,
) {
  return {
    total_duration: nanoseconds(totalMs),
    load_duration: nanoseconds(loadMs),
    prompt_eval_count: promptTokens,
    prompt_eval_duration: nanoseconds(promptMs),
    eval_count: produced,
    eval_duration: nanoseconds(outputMs),
  }
}

const embedSchema = z.looseObject({
  model: z.string().optional(),
  input: z.union([z.string(), z.array(z.string())]).default([]),
  truncate: z.boolean().default(true),
  dimensions: z.int().min(1).optional(),
  keep_alive: settingsSchema.keep_alive,
})

async function embed(core: MockCore, call: Call, body: z.infer<typeof embedSchema>): Promise<void> {
  const model = core.modelOf(body.model)
  const name = call.faults.wrongModel ?? body.model ?? model.name
  const loadMs = await loadFor(core, call, model)
  const inputs = [body.input].flat().map((text) => fittedInput(core, tokenize(text), body.truncate))
  const { vectors, promptTokens } = await embedAll(core, call, model, inputs, body.dimensions)
  model.keep(readKeepAlive(body.keep_alive))
  const answer = {
    model: name,
    embeddings: vectors.map((vector) => [...vector]),
    total_duration: nanoseconds(core.settings.clock.monotonicMs() - call.beganMs),
    load_duration: nanoseconds(loadMs),
    prompt_eval_count: promptTokens,
  }
  sendJson(call, JSON.stringify(answer))
}

function fittedInput({ settings }: MockCore, tokens: number[], truncate: boolean): number[] {
  const most = settings.contextTokens - 1
  if (tokens.length > most && !truncate) throw new Refusal(400, 'the input length exceeds the context length')
  return tokens.slice(0, most)
}

const embeddingSchema = z.looseObject({ model: z.string().optional(), prompt: z.string().default('') })

/** The older form: one text, one vector. */
async function embedOne(core: MockCore, call: Call, body: z.infer<typeof embeddingSchema>): Promise<void> {
  const input = fittedInput(core, tokenize(body.prompt), false)
  const { vectors } = await embedAll(core, call, core.modelOf(body.model), [input])
  sendJson(call, JSON.stringify({ embedding: [...(vectors[0] ?? [])] }))
}
