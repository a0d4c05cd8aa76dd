import { createBlockCache } from './engine/cache.ts'
import type { EngineModel } from './engine/index.ts'
import type { TraceRequest } from './traces/index.ts'

/**
 * Share of prompt tokens that one cache with the memory of all instances together would find, each request computed at
 * once as it comes: least recently used blocks go first. No router over the instances is likely to do better, as they
 * hold popular beginnings several times.
 */
export function pooledHitShare(
  requests: readonly TraceRequest[],
  engines: readonly EngineModel[],
  blockTokens: number,
): number {
  if (blockTokens === 0) return 0
  const blocks = engines.reduce((sum, { kvTokens }) => sum + Math.floor(kvTokens / blockTokens), 0)
  const cache = createBlockCache(blocks)
  let prompts = 0
  let found = 0
  for (const { hashes, promptTokens } of requests) {
    const hits = cache.leading(hashes, Math.floor((promptTokens - 1) / blockTokens))
    const fresh = hashes.length - hits
    const held = cache.acquire(hashes, hits, fresh)
    prompts += promptTokens
    if (!held) continue
    found += hits * blockTokens
    for (const hash of hashes.slice(hits)) held.push(cache.commit(hash))
    cache.release(held, 0)
  }
  return prompts > 0 ? found / prompts : 0
}
