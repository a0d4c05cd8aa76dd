/**
 * The fastest device.
 *
 *     score = (loading + slot wait + prompt / prefill rate + output * decode step(1) + network) / health
 *
 * Milliseconds; no constants but those of broken facts. What the request would take if the instance had nothing else
 * to do, once it has a slot: neither cache nor load counts. For few users who want the best device that has room.
 * Rates are evened out (`even-rates.ts`): alike devices take turns. Unknown: a rate counts as slow, every other cost as
 * none. Linear in the candidates, one sort.
 */
import type { Policy } from './contract.ts'
import { decodeStepMs, fact, failureMs, prefillMs } from './costs.ts'
import { evenRates } from './even-rates.ts'
import { inOrder, scored } from './order.ts'

export const performanceAware: Policy = {
  name: 'performance_aware',
  about: 'The device that would be fastest for it alone and has a slot.',
  unit: 'ms',
  rank: (request, candidates) => {
    const speeds = evenRates(candidates)
    return inOrder(
      candidates.map((candidate, at) => {
        const device = speeds[at] ?? candidate.rates
        const loading = fact(candidate.loadingMs)
        const slotWait = fact(candidate.slotWaitMs)
        const prefill = prefillMs(request.promptTokens, device)
        const decode = fact(request.outputTokens) * decodeStepMs(1, device)
        const network = fact(candidate.networkMs)
        const cost = loading + slotWait + prefill + decode + network
        return scored(candidate, {
          loading,
          slotWait,
          prefill,
          decode,
          network,
          failures: failureMs(cost, candidate),
        })
      }),
    )
  },
}
