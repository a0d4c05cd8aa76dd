import type { MockCore } from '../core.ts'

/** `GET /metrics`: llama-server's names, and vLLM's for the load that routers read. */
export function metricsText(core: MockCore): string {
  const stats = core.stats()
  const { kvCache } = stats
  const perSecond = (tokens: number, ms: number) => (ms > 0 ? (tokens / ms) * 1000 : 0)
  const computed = stats.promptTokens - stats.cachedTokens
  const usage = kvCache.activeTokens / kvCache.capacityTokens
  const rows: [name: string, type: 'counter' | 'gauge', help: string, value: number][] = [
    ['llamacpp:prompt_tokens_total', 'counter', 'Number of prompt tokens processed.', computed],
    ['llamacpp:prompt_seconds_total', 'counter', 'Prompt process time in seconds.', stats.promptMs / 1000],
    [
      'llamacpp:tokens_predicted_total',
      'counter',
      'Number of generation tokens processed.',
      stats.outputTokens,
    ],
    ['llamacpp:tokens_predicted_seconds_total', 'counter', 'Predict process time.', stats.outputMs / 1000],
    [
      'llamacpp:prompt_tokens_seconds',
      'gauge',
      'Average prompt throughput in tokens/s.',
      perSecond(computed, stats.promptMs),
    ],
    [
      'llamacpp:predicted_tokens_seconds',
      'gauge',
      'Average generation throughput in tokens/s.',
      perSecond(stats.outputTokens, stats.outputMs),
    ],
    ['llamacpp:kv_cache_usage_ratio', 'gauge', 'KV cache in use; 1 is all of it.', usage],
    ['llamacpp:requests_processing', 'gauge', 'Number of requests processing.', stats.running],
    ['llamacpp:requests_deferred', 'gauge', 'Number of requests deferred.', stats.waiting],
    ['vllm:num_requests_running', 'gauge', 'Number of requests running.', stats.running],
    ['vllm:num_requests_waiting', 'gauge', 'Number of requests waiting.', stats.waiting],
    ['vllm:kv_cache_usage_perc', 'gauge', 'KV cache in use; 1 is all of it.', usage],
    [
      'vllm:prefix_cache_queries_total',
      'counter',
      'Prompt tokens looked for in the cache.',
      stats.promptTokens,
    ],
    ['vllm:prefix_cache_hits_total', 'counter', 'Prompt tokens found in the cache.', stats.cachedTokens],
  ]
  return rows
    .map(([name, type, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${value}\n`)
    .join('')
}
