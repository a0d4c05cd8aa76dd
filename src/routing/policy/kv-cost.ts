/**
 * Fewest blocks of KV cache to compute and to keep: the cost function of NVIDIA Dynamo's router.
 *
 *     prefill blocks = max(queued + prompt - cached, 0) / blockTokens
 *     decode blocks  = active / blockTokens
 *     score          = prefill blocks + decode blocks
 *
 * Points (blocks of 16 tokens); overlap has weight 1 and temperature is 0, both Dynamo's defaults. A block to compute
 * counts as much as one to keep, and a slow device as much as a fast one. Unknown counts as 0. Linear in the
 * candidates, one sort.
 */
import type { Policy } from './contract.ts'
import { fact, uncachedTokens } from './costs.ts'
import { inOrder, loadingPoints, scored } from './order.ts'
import { tuning } from './tuning.ts'

export const kvCost: Policy = {
  name: 'kv_cost',
  about: 'The fewest blocks of KV cache to compute and to keep.',
  unit: 'points',
  rank: (request, candidates) =>
    inOrder(
      candidates.map((candidate) =>
        scored(candidate, {
          prefillBlocks:
            (fact(candidate.prefillTokens) + uncachedTokens(request, candidate)) / tuning.blockTokens,
          decodeBlocks: fact(candidate.activeTokens) / tuning.blockTokens,
          loading: loadingPoints(candidate),
        }),
      ),
    ),
}
