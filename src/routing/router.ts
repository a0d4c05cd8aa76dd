import type { Clock } from '../core/index.ts'
import {
  asDroverError,
  type ChatRequest,
  DroverError,
  type EmbedRequest,
  type EmbedResult,
  type InferenceEvent,
  type InferenceRequest,
  type ModelOptions,
  type RouteReport,
  type RoutingWishes,
  type Usage,
} from '../inference/index.ts'
import type { ModelStore, StoredModel } from '../models/index.ts'
import type { PriorityClass } from './admission/index.ts'
import { createAnswerFacts } from './answer-facts.ts'
import type { EmbedBatcher } from './batching/index.ts'
import type { AnswerRecord, CacheStats, PlacingRouter, RouteListener } from './contract.ts'
import type { ConversationKeeper } from './conversations.ts'
import { createCountedPrompts } from './counted-prompts.ts'
import { type Degraded, type DegradeOptions, degradations, mayDegrade } from './degrade.ts'
import { embedInputs } from './embed.ts'
import type { RetryBudget } from './health/index.ts'
import type { Hedger } from './hedging/index.ts'
import type { LoadWish, RequestTraits } from './lifecycle/index.ts'
import { loadedModels } from './loaded-models.ts'
import { mergeOptions } from './options.ts'
import type { Lease, Pool } from './pool/index.ts'
import { contextOf, countTokens, prepare, startStream } from './prepare.ts'
import { imageTokens, type RenderedPrompt, renderRequest } from './render.ts'
import { createRepeater, type Repeats } from './repeat.ts'
import { checkCapabilities, createResolver, type ResolvedModel } from './resolve.ts'
import { explainRoute, queueStatus, routeReport } from './route-report.ts'
import { embedRouteOf, type RouteKnowledge, routeOf, traitsNow } from './route-request.ts'
import { type Run, type RunHedge, startRun } from './run.ts'

export interface RouterOptions {
  store: ModelStore
  pool: Pool
  /** How a model is to be loaded for a request with these options and wishes. */
  wishOf: (model: ResolvedModel, options: ModelOptions, routing: RoutingWishes) => Promise<LoadWish>
  knowledge: RouteKnowledge
  retries: RetryBudget
  /** An answer that brings nothing for so long goes on on another instance; Infinity: never. */
  silenceMs: number
  conversations?: ConversationKeeper
  /** Absent: no second tries. */
  hedger?: Hedger | undefined
  degrade: DegradeOptions
  repeats: Repeats
  cacheStats: () => CacheStats
  embedBatcher: EmbedBatcher
  /** Told of each whole answer, without any text. */
  answered?: (record: AnswerRecord) => void
  /** Told of each request that wants a model to run. */
  asked?: (model: ResolvedModel) => void
  clock: Clock
  /** Whether to use the Go template of a model that has a chat template too; absent, what can do more. */
  prefersGoTemplate?: boolean
}

export function createRouter(options: RouterOptions): PlacingRouter {
  const { store, pool, wishOf, knowledge, conversations, clock } = options
  const repeated = createRepeater(options.repeats)
  const countedPrompts = createCountedPrompts()
  const finish = createAnswerFacts({ knowledge, countedPrompts, clock, answered: options.answered })
  const resolve = createResolver(store, options.prefersGoTemplate)
  /** Under which name a loaded model was last asked for; several names may share its files. */
  const lastNames = new Map<string, StoredModel>()

  /** The name of a model, where all that is kept of it is its files. */
  const nameOf = (key: string) => lastNames.get(key)?.displayName ?? 'unknown'

  async function resolved(name: string, wording: (name: string) => string): Promise<ResolvedModel> {
    const model = await resolve(name)
    if (!model) throw new DroverError('model_not_found', wording(name))
    return model
  }

  function answer(
    request: InferenceRequest,
    signal: AbortSignal,
    routed: RouteListener = () => undefined,
  ): AsyncGenerator<InferenceEvent> {
    const { steps } = options.degrade
    return steps.length > 0
      ? answerOrDegrade(request, signal, routed)
      : answerAsAsked(request, signal, routed)
  }

  async function* answerOrDegrade(
    request: InferenceRequest,
    signal: AbortSignal,
    routed: RouteListener,
  ): AsyncGenerator<InferenceEvent> {
    const lesser = degradations(request, options.degrade)
    let asked: Degraded = { request, words: '' }
    for (;;) {
      let spoken = false
      const { words } = asked
      const tell = (report: RouteReport) => routed(words === '' ? report : { ...report, degraded: words })
      try {
        for await (const event of answerAsAsked(asked.request, signal, tell)) {
          spoken = true
          yield event
        }
        return
      } catch (thrown) {
        const error = asDroverError(thrown)
        if (spoken || signal.aborted || !mayDegrade(error.code)) throw thrown
        const next = lesser.next()
        if (next.done) throw thrown
        asked = next.value
      }
    }
  }

  async function* answerAsAsked(
    request: InferenceRequest,
    signal: AbortSignal,
    routed: RouteListener,
  ): AsyncGenerator<InferenceEvent> {
    const arrivedMs = clock.monotonicMs()
    const sinceMs = () => clock.monotonicMs() - arrivedMs
    const model = await resolved(request.model, (name) => `model '${name}' not found`)
    const empty = isEmpty(request)
    if (empty && request.keepAliveMs === 0) {
      pool.keepAlive(model.key, 0)
      yield loadEvent('unload', sinceMs())
      return
    }
    options.asked?.(model)
    const asked = await ask(request, model)
    if (empty) {
      const lease = await acquire(asked.wish, request.keepAliveMs, signal, { slotless: true })
      lease.release()
      yield loadEvent('load', sinceMs())
      return
    }
    const compute = (own: AbortSignal, tell: RouteListener) => answerAnew(asked, request, own, tell, sinceMs)
    yield* repeated({ request, ...asked }, compute, signal, routed)
  }

  async function* answerAnew(
    asked: Asked,
    request: InferenceRequest,
    signal: AbortSignal,
    routed: RouteListener,
    sinceMs: () => number,
  ): AsyncGenerator<InferenceEvent> {
    const run = await start(asked, request, signal, routed)
    try {
      yield* answerBy(run, asked, request, signal, sinceMs)
    } finally {
      run.end()
    }
  }

  function hedgeOf(key: string, priority: PriorityClass): RunHedge | undefined {
    const { hedger } = options
    if (!hedger) return undefined
    hedger.arrived()
    return {
      delayMs: hedger.delayMs(key, priority) ?? Number.POSITIVE_INFINITY,
      mayStart: (avoid) => pool.hasIdle(key, avoid) && hedger.start(),
      observe: (ttftMs, cutOff) => hedger.observe(key, ttftMs, cutOff),
    }
  }

  /** Everything that is known of a request before an instance is chosen for it. */
  async function ask(request: InferenceRequest, model: ResolvedModel): Promise<Asked> {
    checkCapabilities(request, model)
    const merged = mergeOptions(model.description.stored.parameters, request.options)
    const wish = { ...(await wishOf(model, merged, request.routing ?? {})), ...pinsOf(request) }
    lastNames.set(model.key, model.description.stored)
    const past = request.kind === 'generate' ? (request.context?.length ?? 0) : 0
    // What came before is known as tokens only, which an instance has to turn into text.
    const rendered = past > 0 || isEmpty(request) ? undefined : renderRequest(request, model)
    const traits = routeOf(request, rendered?.text, model.key, merged, knowledge, clock.now())
    return { model, options: merged, wish, traits, ...(rendered && { rendered }) }
  }

  function start(
    { wish, traits }: { wish: LoadWish; traits: RequestTraits },
    request: Pick<InferenceRequest, 'keepAliveMs'>,
    signal: AbortSignal,
    routed: RouteListener,
  ): Promise<Run> {
    options.retries.deposit(clock.now())
    const hedge = hedgeOf(wish.key, traits.priority ?? 'default')
    let moves = 0
    return startRun({
      acquire: async (avoid, standing) => {
        const own = standing.calledOff ? AbortSignal.any([signal, standing.calledOff]) : signal
        const lease = await acquire(wish, request.keepAliveMs, own, traitsNow(traits, avoid, standing))
        routed(routeReport(lease, moves))
        return lease
      },
      hasOther: (avoid) => pool.hasOther(wish.key, avoid),
      prepare: async (lease, { prompt, images }) => {
        const blocks = traits.route?.blocks
        if (!conversations || !blocks || images) return
        // The decision reckoned with the saved cache, where that is better than what the instance holds.
        if (lease.decision?.ranked[0]?.candidate.restoreMs === undefined) return
        await conversations.restore({ prompt, blocks }, lease.instance, signal)
      },
      rescue: async (lease, { prompt, images }) => {
        const blocks = traits.route?.blocks
        if (!conversations || !blocks || images) return
        conversations.note(lease.entryId, { prompt, blocks }, lease.instance)
        await conversations.keep(lease.entryId, lease.instance)
      },
      moved: () => {
        moves++
      },
      ...(hedge && { hedge }),
      retries: options.retries,
      silenceMs: options.silenceMs,
      clock,
      random: Math.random,
      signal,
    })
  }

  async function* answerBy(
    run: Run,
    asked: Asked,
    request: InferenceRequest,
    signal: AbortSignal,
    sinceMs: () => number,
  ): AsyncGenerator<InferenceEvent> {
    const { model, options: merged, rendered, traits } = asked
    const loadMs = sinceMs()
    const blocks = traits.route?.blocks
    const most =
      rendered && blocks && countedPrompts.mostTokens(blocks.hashes, Buffer.byteLength(rendered.text))
    const prepared = await run.call((instance) => prepare(request, model, merged, instance, rendered, most))
    const end = yield* startStream(request, model, prepared, run.generate, signal)
    const context = await run.call((instance) => contextOf(request, prepared, instance, end))
    finish(run, { request, key: model.key, rendered: prepared.rendered, blocks, end, totalMs: sinceMs() })
    yield {
      type: 'done',
      reason: end.reason,
      usage: end.usage,
      totalMs: sinceMs(),
      loadMs,
      ...(context && { context }),
      ...(end.stopSequence !== undefined && { stopSequence: end.stopSequence }),
    }
  }

  /** A large request takes every instance that has nothing else to do. */
  async function embedOnIdle(
    request: EmbedRequest,
    run: Run,
    wish: LoadWish,
    traits: Pick<RequestTraits, 'priority' | 'route'>,
    signal: AbortSignal,
  ): Promise<Pick<EmbedResult, 'embeddings' | 'promptTokens'>> {
    const runs = [run]
    const taken = new Set([run.lease().entryId])
    const wanted = Math.ceil(request.inputs.length / embedChunk)
    try {
      while (runs.length < wanted && pool.hasIdle(wish.key, taken)) {
        const helper = await start(
          { wish, traits: { ...traits, avoid: new Set(taken) } },
          request,
          signal,
          () => undefined,
        )
        if (taken.has(helper.lease().entryId)) {
          helper.end()
          break
        }
        runs.push(helper)
        taken.add(helper.lease().entryId)
      }
      return await embedInputs(request, runs, options.embedBatcher, signal)
    } finally {
      for (const helper of runs.slice(1)) helper.end({ outcome: 'answered' })
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
      options.asked?.(model)
      const merged = mergeOptions(model.description.stored.parameters, request.options)
      const wish = await wishOf(model, merged, request.routing ?? {})
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
      options.asked?.(model)
      const merged = mergeOptions(model.description.stored.parameters, request.options)
      lastNames.set(model.key, model.description.stored)
      const wish = await wishOf(model, merged, request.routing ?? {})
      const traits = embedRouteOf(request.routing ?? {}, request.inputs, model.key, knowledge, clock.now())
      const run = await start({ wish, traits }, request, signal, () => undefined)
      try {
        const loadMs = clock.monotonicMs() - arrivedMs
        const result = await embedOnIdle(request, run, wish, traits, signal)
        run.end({ outcome: 'answered' })
        return { ...result, loadMs, totalMs: clock.monotonicMs() - arrivedMs }
      } finally {
        run.end()
      }
    },
    async explain(request, signal) {
      signal.throwIfAborted()
      const model = await resolved(request.model, (name) => `model '${name}' not found`)
      const { wish, traits } = await ask(request, model)
      return explainRoute(pool, wish, traits)
    },
    queue: () => queueStatus(pool, knowledge.predictor, options.cacheStats(), nameOf),
    idleSlots: pool.idleSlots,
    drain: (instanceId, graceMs) => pool.drain(instanceId, graceMs),
    wish: async (name, layout = {}) => {
      const model = await resolved(name, (missing) => `model '${missing}' not found`)
      lastNames.set(model.key, model.description.stored)
      return wishOf(model, mergeOptions(model.description.stored.parameters, {}), layout)
    },
    restart: async (name) =>
      pool.restart((await resolved(name, (missing) => `model '${missing}' not found`)).key),
    loaded: () => loadedModels(pool, lastNames, clock.now()),
    close: ({ drainMs }) => pool.close(drainMs),
  }
}

/** A request with its model, its options, its prompt where that is known, and what decides its way. */
interface Asked {
  model: ResolvedModel
  options: ModelOptions
  wish: LoadWish
  traits: Pick<RequestTraits, 'priority' | 'route'>
  rendered?: RenderedPrompt
}

/** Inputs to embed that are worth another instance. */
const embedChunk = 64

/** Devices that a request may run on: what is to be loaded for it goes there. Instances (`#7`) are only chosen. */
function pinsOf({ routing }: InferenceRequest): Pick<LoadWish, 'pins'> {
  const pins = routing?.pins?.filter((pin) => !pin.startsWith('#')) ?? []
  return pins.length > 0 ? { pins } : {}
}

function isEmpty(request: InferenceRequest): boolean {
  if (request.kind === 'chat') return request.messages.length === 0
  return request.prompt === '' && !request.suffix && (request.images?.length ?? 0) === 0
}

const noUsage: Usage = { promptTokens: 0, cachedTokens: 0, outputTokens: 0, promptMs: 0, outputMs: 0 }

function loadEvent(reason: 'load' | 'unload', loadMs: number): InferenceEvent {
  return { type: 'done', reason, usage: noUsage, totalMs: loadMs, loadMs }
}
