/** One request of a trace. */
export interface TraceRequest {
  /** From the first request of the trace. */
  atMs: number
  promptTokens: number
  outputTokens: number
  /** Chained hashes of the whole blocks of prompt and answer; empty where the trace does not tell them. */
  hashes: readonly number[]
  tenant: string
  model?: string
}

/** What a file of requests told, in order of time. */
export interface Trace {
  name: string
  format: TraceFormat
  /** Tokens of a block; 0 where the trace has no blocks. */
  blockTokens: number
  /** Times are known only to this: the requests of a bucket came at any time in it. 0: exactly. */
  bucketMs: number
  requests: readonly TraceRequest[]
}

export type TraceFormat = 'mooncake' | 'azure' | 'burstgpt' | 'servegen' | 'drover'

/** A line of a file, counted from 1, empty ones left out. */
export interface Line {
  number: number
  text: string
}

export interface ReadOptions {
  /** Read no more requests than this. */
  requests?: number
  /** For formats that tell distributions in place of requests. */
  seed?: number
}

/** What a reader makes of lines; times may be of any origin, and in any order. */
export interface RawTrace {
  blockTokens: number
  bucketMs: number
  requests: TraceRequest[]
}

export type TraceReader = (lines: AsyncIterable<Line>, options: ReadOptions) => Promise<RawTrace>
