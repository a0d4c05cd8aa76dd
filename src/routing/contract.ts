import type {
  ChatRequest,
  EmbedRequest,
  EmbedResult,
  InferenceEvent,
  InferenceRequest,
  RouteReport,
  RoutingWishes,
} from '../inference/index.ts'
import type { StoredModel } from '../models/index.ts'
import type { PriorityClass, QueueReport } from './admission/index.ts'
import type { ResponseCacheStats } from './batching/index.ts'
import type { LoadWish } from './lifecycle/index.ts'
import type { Rates } from './policy/index.ts'
import type { PredictionError } from './prediction/index.ts'
import type { PrefixStats } from './prefix/index.ts'
import type { SessionStats } from './sessions/index.ts'

/** A model that is running now, for `/api/ps`. */
export interface LoadedModel {
  stored: StoredModel
  /** Tokens of one slot. */
  contextLength: number
  slots: number
  sizeBytes: number
  vramBytes: number
  /** Milliseconds since the epoch; Infinity for ever. */
  expiresAtMs: number
}

/** Told each time a request gets an instance: once, unless it has to move. */
export type RouteListener = (report: RouteReport) => void

/** What is left of a request for the log: sizes, times and hashes, no text. */
export interface AnswerRecord {
  model: string
  tenant: string
  promptTokens: number
  cachedTokens: number
  outputTokens: number
  /** From its arrival. */
  ttftMs: number
  totalMs: number
  /** `#7`, with its devices. */
  instance: string
  /** The policy. */
  route: string
  /** Chained hashes of the prompt, worth something in this log only. */
  blocks?: readonly number[]
  blockTokens?: number
}

/** A decision as people read it. */
export interface Explanation {
  model: string
  policy: string
  unit: 'ms' | 'points'
  promptTokens: number
  expectedOutputTokens: number
  /** Best first. */
  candidates: {
    instance: number
    devices: readonly string[]
    score: number
    terms: Readonly<Record<string, number>>
    cachedTokens: number
    running: number
    slots: number
    health: number
    rates: Rates
  }[]
  excluded: readonly { instance: number; reason: string }[]
  /** Of the best candidate; absent where none runs: the model would be loaded first. */
  predicted?: { ttftMs: number; finishMs: number }
  /** In one sentence. */
  summary: string
}

/** A request that waits for a slot. */
export interface WaitingRequest {
  model: string
  /** Requests before it. */
  position: number
  tenant: string
  priority: PriorityClass
  waitedMs: number
  /** How long it will probably wait yet. */
  estimateMs?: number
}

/** The queue and the books at this moment. */
export interface QueueStatus extends QueueReport {
  /** Who waits, by model and in order; the first of them only. */
  requests: readonly WaitingRequest[]
  instances: readonly {
    instance: number
    model: string
    state: string
    running: number
    slots: number
    health: number
  }[]
  predictions: { model: string; error: PredictionError }[]
  caches: CacheStats
}

/** What is known of, or kept of, prompts and answers. */
export interface CacheStats {
  prefixes: PrefixStats
  sessions?: SessionStats
  responses?: ResponseCacheStats
}

/** Request in, events out: everything between a dialect and the engines. */
export interface Router {
  /**
   * Answers a request. Nothing happens before the first `next()`; an error before the first event is the
   * request's refusal, one after it is a break in the answer. An empty chat or prompt only loads the model
   * (`done` with reason `load`), or unloads it when `keepAliveMs` is 0 (reason `unload`).
   * Throws `DroverError` with the wording of Ollama's API.
   */
  answer(
    request: InferenceRequest,
    signal: AbortSignal,
    routed?: RouteListener,
  ): AsyncIterable<InferenceEvent>
  /** The prompt that `answer` would send to the engine, without sending it. */
  render(request: InferenceRequest, signal: AbortSignal): Promise<{ prompt: string; imageCount: number }>
  /**
   * Tokens of the prompt that `answer` would send, images by estimate; nothing is cut to fit. Loads the model, whose
   * tokenizer counts. Throws as `answer` does.
   */
  countTokens(request: ChatRequest, signal: AbortSignal): Promise<number>
  embed(request: EmbedRequest, signal: AbortSignal): Promise<EmbedResult>
  /** Where a request would go and why, without running it. Throws as `answer` does. */
  explain(request: InferenceRequest, signal: AbortSignal): Promise<Explanation>
  /** Who waits, what each instance does, and how wrong predictions were. */
  queue(): QueueStatus
  /** Slots that nobody runs in or waits for, of all instances. */
  idleSlots(): number
  /** Lets an instance end: no new requests, and those that outlast `graceMs` go on elsewhere. False: there is none. */
  drain(instanceId: number, graceMs: number): boolean
  /** Longest remaining first. */
  loaded(): LoadedModel[]
  /**
   * Replaces every instance of a model by a new one, one after the other, while requests go on. How many there were is
   * returned; throws `model_not_found`.
   */
  restart(model: string): Promise<number>
  /** Refuses new requests, lets running ones end for `drainMs`, stops every engine. Call again to hurry. */
  close(options: { drainMs: number }): Promise<void>
}

/** A router, for those who place models. */
export interface PlacingRouter extends Router {
  /** How a model would be loaded for a request that asks for nothing else. Throws `model_not_found`. */
  wish(
    model: string,
    layout?: Pick<RoutingWishes, 'strategy' | 'tensorSize' | 'pipelineSize'>,
  ): Promise<LoadWish>
}
