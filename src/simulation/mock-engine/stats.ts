/** What a mock engine has done since it was started. */
export interface MockStats {
  /** Requests for work: answers and embeddings. */
  requests: number
  completed: number
  /** Answered with an error, for a fault of the request's own or a switched one. */
  refused: number
  /** Whose connection, or whose answer after it had begun, a switched fault broke. */
  broken: number
  /** Whose client went away first. */
  abortedClients: number
  promptTokens: number
  /** Of the prompt tokens, those that were in the KV cache. */
  cachedTokens: number
  outputTokens: number
  /** Milliseconds of prefill and of decoding, summed over requests. */
  promptMs: number
  outputMs: number
  running: number
  waiting: number
  kvCache: { capacityTokens: number; tokens: number; activeTokens: number }
  models: { name: string; loaded: boolean; running: number; waiting: number }[]
}

/** What is counted as it happens. */
export type Counters = Omit<MockStats, 'running' | 'waiting' | 'kvCache' | 'models'>

export function createCounters(): Counters {
  return {
    requests: 0,
    completed: 0,
    refused: 0,
    broken: 0,
    abortedClients: 0,
    promptTokens: 0,
    cachedTokens: 0,
    outputTokens: 0,
    promptMs: 0,
    outputMs: 0,
  }
}
