import type { Rates } from '../policy/contract.ts'

/** Whose rates are meant: what is learnt of one helps the next that is like it. */
export interface RatesOf {
  instance: number
  /** Model with its adapters. */
  model: string
  /** Alike instances run alike: engine, kind of device and number of devices in one text. */
  kind: string
  /** For a first guess, where they are known. */
  modelBytes?: number
  memoryBytesPerS?: number
  flopsPerS?: number
}

/** What sort of request it is: answers of one sort have similar lengths. */
export interface RequestShape {
  model: string
  tenant: string
  kind: 'chat' | 'generate'
  promptTokens: number
  tools: boolean
  format: boolean
  thinking: boolean
  /** The request's own limit; absent: none. */
  maxTokens?: number
}

/** A request that has ended whole, as it was measured. */
export interface Observed {
  of: RatesOf
  shape: RequestShape
  /** Prompt tokens that were computed, not found in the cache. */
  computedTokens: number
  prefillMs: number
  outputTokens: number
  decodeMs: number
  /** Mean number of requests in the instance while it decoded. */
  batch: number
}

/** What was foretold of a request, and what came. Milliseconds from the decision; tokens. */
export interface Outcome {
  model: string
  instance: number
  predicted: { ttftMs: number; finishMs: number; outputTokens: number; cachedTokens: number }
  actual: { ttftMs: number; finishMs: number; outputTokens: number; cachedTokens: number }
}

/** How wrong predictions were: medians and 90th percentiles of |predicted - actual| / actual over the last ones. */
export interface PredictionError {
  requests: number
  ttft: { p50: number; p90: number }
  finish: { p50: number; p90: number }
  outputTokens: { p50: number; p90: number }
  /** Mean of predicted over actual: 1 has no bias. */
  ttftBias: number
  finishBias: number
}

/** Learns how fast instances are and how long answers get, from what they do. Bounded memory; no I/O. */
export interface Predictor {
  rates(of: RatesOf): Rates
  outputTokens(shape: RequestShape): number
  /** What is still to come of an answer that has `soFar` tokens: long ones get longer than the mean. */
  remainingTokens(shape: RequestShape, soFar: number): number
  observe(observed: Observed): void
  observeLoad(of: RatesOf, loadMs: number): void
  /** The instance is gone; what was learnt of its kind stays. */
  forget(instance: number): void
  record(outcome: Outcome): void
  /** By model; every model's together under the empty name. */
  errors(): ReadonlyMap<string, PredictionError>
}
