/** What a modelled instance can do: a roofline worked out, or figures measured or given. */
export interface EngineModel {
  prefillTokensPerS: number
  /** A decoding step with `batch` requests that hold `kvTokens` together takes base + perRequest * batch + perKvToken * kvTokens. */
  decodeBaseMs: number
  decodePerRequestMs: number
  decodePerKvTokenMs: number
  /** Prompt tokens computed in one step, shared by those who prefill; decoding goes on in the same step. */
  chunkTokens: number
  /** Requests at once; more wait inside, first come first served. */
  slots: number
  /** Tokens of KV cache: running requests' and, least recently used, what is left of earlier ones. */
  kvTokens: number
  blockTokens: number
  loadMs: number
}

/** A request as a modelled instance runs it. */
export interface ModelledRequest {
  id: number
  /** Chained hashes of the whole blocks of prompt (and of the answer, where known): equal ones are one block. */
  hashes: readonly number[]
  promptTokens: number
  outputTokens: number
}

export type ModelledEvent =
  /** Its prompt begins to be computed; so many tokens of it were in the cache. */
  | { type: 'started'; id: number; atMs: number; cachedTokens: number }
  | { type: 'firstToken'; id: number; atMs: number }
  /** So many more tokens; only where `eachToken` is asked for. */
  | { type: 'tokens'; id: number; atMs: number; count: number }
  | { type: 'done'; id: number; atMs: number }

/**
 * A modelled instance with continuous batching, chunked prefill and a prefix cache, moved on by whoever holds the
 * clock: `nextMs` says when something happens next, `advance` lets it happen. The same model runs the simulator (on a
 * virtual clock, thousands of requests a second) and the mock engine (on real time).
 */
export interface ModelledInstance {
  submit(request: ModelledRequest, nowMs: number): void
  /** Takes a request out, wherever it is; what it had computed stays in the cache. */
  cancel(id: number, nowMs: number): void
  /** The time of the next event, Infinity when idle. */
  nextMs(): number
  /** Lets everything up to `nowMs` happen, in order of time. */
  advance(nowMs: number): ModelledEvent[]
  running(): number
  waiting(): number
  /** Tokens in the cache, and of them in use by running requests. */
  kvUse(): { tokens: number; activeTokens: number }
  /** Leading blocks of this prompt that it has right now: what only an omniscient router knows. */
  cachedBlocks(hashes: readonly number[]): number
}
