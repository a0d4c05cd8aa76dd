import { type Clock, systemClock } from '../../core/index.ts'
import type { EngineModel } from '../engine/contract.ts'

/** What a mock engine is; everything has a default. */
export interface MockEngineOptions {
  /** The names it answers to; the first is taken where a request names none. Default `mock`. */
  models?: readonly string[] | undefined
  /** How fast it is and how much fits: what is left out is as `defaultEngineModel`. */
  engine?: Partial<EngineModel> | undefined
  /** Tokens of prompt and answer together. Default 8192, or what the KV cache holds where that is less. */
  contextTokens?: number | undefined
  /** Tokens of an answer that nothing else ends, on average; Infinity never ends. Default 200. */
  meanAnswerTokens?: number | undefined
  /** Numbers of an embedding. Default 768. */
  embeddingDimensions?: number | undefined
  /** How many times faster than the model of it everything goes. Default 1. */
  speed?: number | undefined
  /** The folder of saved slots; without one they cannot be saved. */
  slotSavePath?: string | undefined
  /** What a model is said to take, in bytes. Default 1 GiB. */
  modelBytes?: number | undefined
  clock?: Clock | undefined
  /** What the fault `crash` does once every connection is broken. Default nothing. */
  onCrash?: (() => void) | undefined
}

export interface MockSettings {
  models: readonly string[]
  engine: EngineModel
  contextTokens: number
  meanAnswerTokens: number
  embeddingDimensions: number
  speed: number
  slotSavePath: string | undefined
  modelBytes: number
  clock: Clock
  onCrash: () => void
}

/** A middling card with a small model. */
const defaultEngineModel: Omit<EngineModel, 'kvTokens'> = {
  prefillTokensPerS: 2_000,
  decodeBaseMs: 20,
  decodePerRequestMs: 0.5,
  decodePerKvTokenMs: 0,
  chunkTokens: 512,
  slots: 4,
  blockTokens: 16,
  loadMs: 0,
}

const defaultContextTokens = 8_192
const defaultModelBytes = 1024 ** 3

/** Fills in the defaults. Throws a `RangeError` for what cannot be. */
export function settingsOf(options: MockEngineOptions): MockSettings {
  const engine = { ...defaultEngineModel, ...definedOf(options.engine ?? {}) }
  const wantedContext = options.contextTokens ?? defaultContextTokens
  const kvTokens =
    engine.kvTokens ?? engine.slots * Math.ceil(wantedContext / engine.blockTokens) * engine.blockTokens
  // Each request has to fit into the cache as whole blocks.
  const mostContext = Math.floor(kvTokens / engine.blockTokens) * engine.blockTokens
  const settings: MockSettings = {
    models: options.models?.length ? options.models : ['mock'],
    engine: { ...engine, kvTokens },
    contextTokens: options.contextTokens ?? Math.min(wantedContext, mostContext),
    meanAnswerTokens: options.meanAnswerTokens ?? 200,
    embeddingDimensions: options.embeddingDimensions ?? 768,
    speed: options.speed ?? 1,
    slotSavePath: options.slotSavePath,
    modelBytes: options.modelBytes ?? defaultModelBytes,
    clock: options.clock ?? systemClock,
    onCrash: options.onCrash ?? (() => undefined),
  }
  check(settings, mostContext)
  return settings
}

function definedOf(given: Partial<EngineModel>): Partial<EngineModel> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

function check(settings: MockSettings, mostContext: number): void {
  const { engine, contextTokens } = settings
  const positive = {
    'prefill tokens per second': engine.prefillTokensPerS,
    'answer tokens': settings.meanAnswerTokens,
    speed: settings.speed,
  }
  const wholePositive = {
    slots: engine.slots,
    'tokens of a block': engine.blockTokens,
    'tokens of a chunk': engine.chunkTokens,
    'context tokens': contextTokens,
    'embedding dimensions': settings.embeddingDimensions,
  }
  const notNegative = {
    'milliseconds of a decoding step': engine.decodeBaseMs,
    'milliseconds for each request': engine.decodePerRequestMs,
    'milliseconds for each token in the cache': engine.decodePerKvTokenMs,
    'milliseconds of a load': engine.loadMs,
  }
  const refuse = (what: string, value: number, wanted: string) => {
    throw new RangeError(`${what}: ${value} will not do, give ${wanted}`)
  }
  for (const [what, value] of Object.entries(positive)) {
    if (!(value > 0)) refuse(what, value, 'a number above 0')
  }
  for (const [what, value] of Object.entries(wholePositive)) {
    if (!(Number.isInteger(value) && value > 0)) refuse(what, value, 'a whole number above 0')
  }
  for (const [what, value] of Object.entries(notNegative)) {
    if (!(value >= 0 && Number.isFinite(value))) refuse(what, value, '0 or more')
  }
  if (contextTokens > mostContext) {
    const advice = 'give more KV tokens or less context'
    throw new RangeError(
      `a KV cache of ${engine.kvTokens} tokens holds no context of ${contextTokens}: ${advice}`,
    )
  }
}
