import type { Spread } from '../../core/index.ts'

/** How requests come: so many at once, each followed by the next, or by chance so many a second, whatever becomes of them. */
export type Load = { kind: 'closed'; concurrency: number } | { kind: 'open'; perSecond: number }

/** What a request cost, in milliseconds on the clock of the benchmark. */
export interface Measured {
  /** When it was due; that it was sent later is part of its time. */
  arrivedMs: number
  /** 0: nothing came. */
  firstMs: number
  endMs: number
  /** Between the pieces of the answer, in their order; 0 between those that came together. */
  gapsMs: number[]
  promptTokens: number
  outputTokens: number
  /** Why there is no whole answer. */
  error?: string
  /** Nobody listens there any more. */
  unreachable?: boolean
}

/** What a device did while a load ran. */
export interface DeviceFigures {
  id: string
  label: string
  /** Bytes, the most that was seen: of all programs where sensors tell it, of models as they were reckoned. */
  memoryUsedBytes?: number
  modelsBytes: number
  /** Means; absent where no sensor tells. */
  utilization?: number
  powerWatts?: number
  temperatureC?: number
}

/** A line of the table: one load on one model of one server. */
export interface Figures {
  server: string
  model: string
  /** What was asked for beside the model, in words: `tensor over 0,1`; empty: nothing. */
  variant: string
  load: Load
  requests: number
  errors: number
  /** The first of each kind, with how often. */
  errorKinds: Record<string, number>
  seconds: number
  ttftMs: Spread
  itlMs: Spread
  endToEndMs: Spread
  promptTokensPerS: number
  outputTokensPerS: number
  /** Of one stream, after what came first: the median. 0 where each answer came all at once. */
  streamTokensPerS: number
  requestsPerS: number
  /** Answers that kept both promises. */
  goodput: { share: number; perS: number }
  /** Joules for a token that was generated, where the devices' power is known. */
  joulesPerToken?: number
  devices: DeviceFigures[]
  /** At even steps from the least to the largest. */
  ttftQuantilesMs: number[]
  itlQuantilesMs: number[]
}

/** How a model lay on its devices when it was measured. */
export interface Layout {
  server: string
  model: string
  variant: string
  instances: {
    instance: number
    engine: string
    strategy: string
    slots: number
    contextLength?: number
    parts: {
      deviceId: string
      stage: number
      layers?: readonly [number, number]
      share: number
      bytes: number
      kvCacheBytes?: number
      weightsBytes?: number
    }[]
  }[]
}

/** A whole run, as `--save` keeps it. */
export interface BenchmarkReport {
  version: 1
  at: string
  seed: number
  promptTokens: number
  outputTokens: number
  objective: { ttftMs: number; itlMs: number }
  rows: Figures[]
  layouts: Layout[]
  notes: string[]
}
