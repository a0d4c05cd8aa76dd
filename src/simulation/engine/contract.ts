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
  /** So many tokens of its prompt are computed or were cached; only where `eachToken` is asked for. */
  | { type: 'prefilled'; id: number; atMs: number; promptTokens: number }
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
  /** Tells of each running request how many tokens of its answer are out by `nowMs`, as far as `advance` has come. */
  eachProduced(nowMs: number, tell: (id: number, tokens: number) => void): void
  /** Puts blocks into the cache that were computed elsewhere (a restored session), as far as there is room; how many. */
  restore(hashes: readonly number[]): number
  /** Drops the blocks of a chain that no running request uses; how many. */
  forget(hashes: readonly number[]): number
  running(): number
  waiting(): number
  /** Tokens in the cache, and of them in use by running requests. */
  kvUse(): { tokens: number; activeTokens: number }
  /** Time that it has spent in steps. */
  busyMs(): number
  /** Leading blocks of this prompt that it has right now: what only an omniscient router knows. */
  cachedBlocks(hashes: readonly number[]): number
}
