import type { Progress } from '../run.ts'

/** llama-server's `timings`. */
export function timingsOf({ promptTokens, cachedTokens, promptMs, produced, outputMs }: Progress) {
  const computed = promptTokens - cachedTokens
  return {
    cache_n: cachedTokens,
    prompt_n: computed,
    prompt_ms: promptMs,
    prompt_per_token_ms: computed > 0 ? promptMs / computed : 0,
    prompt_per_second: promptMs > 0 ? (computed / promptMs) * 1000 : 0,
    predicted_n: produced,
    predicted_ms: outputMs,
    predicted_per_token_ms: produced > 0 ? outputMs / produced : 0,
    predicted_per_second: outputMs > 0 ? (produced / outputMs) * 1000 : 0,
  }
}
