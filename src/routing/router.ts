import type { Clock } from '../core/index.ts'
import type { CompletionRequest, EngineInstance } from '../engines/index.ts'
import {
  asDroverError,
  type ChatRequest,
  DroverError,
  type EmbedRequest,
  type EmbedResult,
  type InferenceEvent,
  type InferenceRequest,
  type ModelOptions,
  type Usage,
} from '../inference/index.ts'
import type { ModelStore, StoredModel } from '../models/index.ts'
import { createOutputParser } from '../prompts/index.ts'
import type { LoadedModel, Router } from './contract.ts'
import { embedInputs } from './embed.ts'
import type { LoadWish, RequestTraits } from './lifecycle/index.ts'
import { maxTokensOf, mergeOptions, samplingOf } from './options.ts'
import type { Lease, Pool } from './pool.ts'
import { fitPrompt, imageTokens, type RenderedPrompt, renderRequest, thinkOf } from './render.ts'
import { checkCapabilities, createResolver, type ResolvedModel } from './resolve.ts'
import { type StreamEnd, streamCompletion, streamFormattedThinking } from './stream.ts'

export interface RouterOptions {
  store: ModelStore
  pool: Pool
  /** How a model is to be loaded for a request with these options. */
  wishOf: (model: ResolvedModel, options: ModelOptions) => Promise<LoadWish>
  clock: Clock
  /** Whether to use the Go template of a model that has a chat template too; absent, what can do more. */
  prefersGoTemplate?: boolean
}

/** Tries of a request that dies with its engine before its first word, each on another instance. */
const mostAttempts = 4

export function createRouter({ store, pool, wishOf, clock, prefersGoTemplate }: RouterOptions): Router {
  const resolve = createResolver(store, prefersGoTemplate)
  /** Under which name a loaded model was last asked for; several names may share its files. */
  const lastNames = new Map<string, StoredModel>()

  async function resolved(name: string, wording: (name: string) => string): Promise<ResolvedModel> {
    const model = await resolve(name)
    if (!model) throw new DroverError('model_not_found', wording(name))
    return model
  }

  async function* answer(request: InferenceRequest, signal: AbortSignal): AsyncGenerator<InferenceEvent> {
    const arrivedMs = clock.monotonicMs()
    const model = await resolved(request.model, (name) => `model '${name}' not found`)
    const empty = isEmpty(request)
    if (empty && request.keepAliveMs === 0) {
      pool.keepAlive(model.key, 0)
      yield loadEvent('unload', clock.monotonicMs() - arrivedMs)
      return
    }
    checkCapabilities(request, model)
    const options = mergeOptions(model.description.stored.parameters, request.options)
    const wish = await wishOf(model, options)
    lastNames.set(model.key, model.description.stored)
    const avoid = new Set<number>()
    for (let attempt = 1; ; attempt++) {
      const lease = await acquire(wish, request.keepAliveMs, signal, { slotless: empty, avoid })
      let spoken = false
      let completed = false
      try {
        const loadMs = clock.monotonicMs() - arrivedMs
        if (empty) {
          yield loadEvent('load', loadMs)
          return
        }
        for await (const event of run(request, model, options, lease.instance, signal, arrivedMs, loadMs)) {
          spoken = true
          // Who reads may stop at this one.
          completed = event.type === 'done'
          yield event
        }
        return
      } catch (thrown) {
        const error = asDroverError(thrown)
        if (spoken || error.code !== 'engine_crashed' || attempt === mostAttempts) throw thrown
        avoid.add(lease.entryId)
      } finally {
        lease.release(completed)
      }
    }
  }

  async function acquire(
    wish: LoadWish,
    keepAliveMs: number | undefined,
    signal: AbortSignal,
    traits: RequestTraits = {},
  ): Promise<Lease> {
    const lease = await pool.acquire(wish, signal, traits)
    if (keepAliveMs !== undefined) pool.keepAlive(wish.key, keepAliveMs)
    return lease
  }

  async function* run(
    request: InferenceRequest,
    model: ResolvedModel,
    options: ModelOptions,
    instance: EngineInstance,
    signal: AbortSignal,
    arrivedMs: number,
    loadMs: number,
  ): AsyncGenerator<InferenceEvent> {
    const prepared = await prepare(request, model, options, instance)
    const end = yield* startStream(request, model, prepared, instance, signal)
    const context = await contextOf(request, prepared, instance, end)
    yield {
      type: 'done',
      reason: end.reason,
      usage: end.usage,
      totalMs: clock.monotonicMs() - arrivedMs,
      loadMs,
      ...(context && { context }),
      ...(end.stopSequence !== undefined && { stopSequence: end.stopSequence }),
    }
  }

  return {
    answer,
    async render(request) {
      const model = await resolved(request.model, (name) => `model '${name}' not found`)
      checkCapabilities(request, model)
      const { text, images } = renderRequest(request, model)
      return { prompt: text, imageCount: images.length }
    },
    async countTokens(request: ChatRequest, signal: AbortSignal): Promise<number> {
      const model = await resolved(request.model, (name) => `model '${name}' not found`)
      checkCapabilities(request, model)
      const options = mergeOptions(model.description.stored.parameters, request.options)
      const wish = await wishOf(model, options)
      lastNames.set(model.key, model.description.stored)
      const lease = await acquire(wish, request.keepAliveMs, signal, { slotless: true })
      try {
        const { text, images } = renderRequest(request, model)
        return (await countTokens(text, lease.instance)) + images.length * imageTokens
      } finally {
        lease.release()
      }
    },
    async embed(request: EmbedRequest, signal: AbortSignal): Promise<EmbedResult> {
      const arrivedMs = clock.monotonicMs()
      const model = await resolved(request.model, (name) => `model "${name}" not found, try pulling it first`)
      if (!model.description.capabilities.includes('embedding')) {
        const words = 'This server does not support embeddings. Start it with `--embeddings`'
        throw new DroverError('not_embedding_model', words)
      }
      const options = mergeOptions(model.description.stored.parameters, request.options)
      lastNames.set(model.key, model.description.stored)
      const lease = await acquire(await wishOf(model, options), request.keepAliveMs, signal)
      try {
        const loadMs = clock.monotonicMs() - arrivedMs
        const result = await embedInputs(request, lease.instance, signal)
        lease.release(true)
        return { ...result, loadMs, totalMs: clock.monotonicMs() - arrivedMs }
      } finally {
        lease.release()
      }
    },
    restart: async (name) =>
      pool.restart((await resolved(name, (missing) => `model '${missing}' not found`)).key),
    loaded: () => loadedModels(pool, lastNames, clock.now()),
    close: ({ drainMs }) => pool.close(drainMs),
  }
}

interface Prepared {
  rendered: RenderedPrompt
  completion: CompletionRequest
}

/** Renders the prompt, makes it fit, and collects what the engine has to know. */
async function prepare(
  request: InferenceRequest,
  model: ResolvedModel,
  options: ModelOptions,
  instance: EngineInstance,
): Promise<Prepared> {
  const past = request.kind === 'generate' ? request.context : undefined
  const history = past && past.length > 0 ? await instance.detokenize(past) : ''
  const rendered = renderRequest(request, model, history)
  const fitted = await fitPrompt(rendered, request, model, instance, options, history)
  const completion: CompletionRequest = {
    prompt: fitted.prompt,
    sampling: samplingOf(options),
    maxTokens: maxTokensOf(options, instance.contextLength),
    stop: options.stop ?? [],
    ...(fitted.images.length > 0 && { images: fitted.images }),
    ...(request.format !== undefined && { format: request.format }),
    ...(rendered.structured &&
      rendered.template.parser && { preservedTokens: rendered.template.parser.preservedTokens }),
    ...(request.logprobs && { topLogprobs: request.topLogprobs ?? 0 }),
  }
  if (request.shift === false) {
    const promptTokens = fitted.tokenCount ?? (await countTokens(fitted.prompt, instance))
    completion.maxTokens = Math.max(1, Math.min(completion.maxTokens, instance.contextLength - promptTokens))
  }
  return { rendered, completion }
}

async function countTokens(prompt: string | number[], instance: EngineInstance): Promise<number> {
  if (typeof prompt !== 'string') return prompt.length
  return (await instance.tokenize(prompt, { addSpecial: true })).length
}

function startStream(
  request: InferenceRequest,
  model: ResolvedModel,
  { rendered, completion }: Prepared,
  instance: EngineInstance,
  signal: AbortSignal,
): AsyncGenerator<InferenceEvent, StreamEnd> {
  if (!rendered.structured) return streamCompletion(instance, completion, undefined, signal)
  const { template } = rendered
  const think = thinkOf(request, model)
  const thoughtEnd =
    template.parser?.thoughtEnd ?? (template.thinkTags && { ...template.thinkTags, answer: '\n\n' })
  const parseThinking = Boolean(think) && thoughtEnd !== undefined
  const tools = request.kind === 'chat' ? (request.tools ?? []) : []
  const createParser = (prompt: string) =>
    createOutputParser({ template, prompt, parseThinking, tools, ...(think !== undefined && { think }) })
  const { prompt, format } = completion
  if (format !== undefined && parseThinking && typeof prompt === 'string') {
    const { format: _format, ...free } = completion
    return streamFormattedThinking(instance, { ...free, prompt }, format, createParser, thoughtEnd, signal)
  }
  const parses = parseThinking || tools.length > 0 || template.parser !== undefined
  return streamCompletion(instance, completion, parses ? createParser(rendered.text) : undefined, signal)
}

/** Prompt and answer as tokens, by which a generate request can be continued. */
async function contextOf(
  request: InferenceRequest,
  { completion }: Prepared,
  instance: EngineInstance,
  end: StreamEnd,
): Promise<number[] | undefined> {
  if (request.kind !== 'generate' || request.raw) return undefined
  const { prompt } = completion
  const promptTokens =
    typeof prompt === 'string' ? await instance.tokenize(prompt, { addSpecial: false }) : prompt
  return [...promptTokens, ...end.outputTokens]
}

function isEmpty(request: InferenceRequest): boolean {
  if (request.kind === 'chat') return request.messages.length === 0
  return request.prompt === '' && !request.suffix && (request.images?.length ?? 0) === 0
}

const noUsage: Usage = { promptTokens: 0, cachedTokens: 0, outputTokens: 0, promptMs: 0, outputMs: 0 }

function loadEvent(reason: 'load' | 'unload', loadMs: number): InferenceEvent {
  return { type: 'done', reason, usage: noUsage, totalMs: loadMs, loadMs }
}

/** Each model once, whatever instances it has. */
function loadedModels(pool: Pool, names: ReadonlyMap<string, StoredModel>, nowMs: number): LoadedModel[] {
  const byKey = Map.groupBy(pool.ready(), ({ entry }) => entry.key)
  return [...byKey]
    .flatMap(([key, running]) => {
      const stored = names.get(key)
      if (!stored) return []
      const memories = running.map(({ instance }) => instance.memory)
      return {
        stored,
        contextLength: Math.max(...running.map(({ instance }) => instance.contextLength)),
        slots: sum(running.map(({ instance }) => instance.slots)),
        sizeBytes: sum(memories.map(({ vramBytes, hostBytes }) => vramBytes + hostBytes)),
        vramBytes: sum(memories.map(({ vramBytes }) => vramBytes)),
        expiresAtMs: Math.max(
          ...running.map(({ entry }) => (entry.inUse > 0 ? nowMs : entry.idleSinceMs) + entry.keepAliveMs),
        ),
      }
    })
    .sort((a, b) => b.expiresAtMs - a.expiresAtMs)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
