/**
 * Least work ahead, by the speed of the device: SMG's drain time with measured rates in place of a constant.
 *
 *     score = (loading + slot wait + (queued + prompt) / prefill rate + output * decode step(batch + 1) + pressure)
 *           / health
 *
 * Milliseconds; constants in `tuning.ts`. The whole prompt counts, whatever is cached: for prompts that share nothing.
 * Unknown: a rate counts as slow, every other cost as none. Linear in the candidates, one sort.
 */
import type { Policy } from './contract.ts'
import { failureMs, predict, pressureMs } from './costs.ts'
import { inOrder, scored } from './order.ts'

export const leastEffectiveLoad: Policy = {
  name: 'least_effective_load',
  about: 'The one with the least work ahead in milliseconds, by the speed of its device.',
  unit: 'ms',
  rank: (request, candidates) =>
    inOrder(
      candidates.map((candidate) => {
        const cold = { ...candidate, cachedTokens: 0 }
        const { loadingMs, slotWaitMs, queuedMs, prefillMs, decodeMs } = predict(request, cold)
        const pressure = pressureMs(request, cold)
        const cost = loadingMs + slotWaitMs + queuedMs + prefillMs + decodeMs + pressure
        return scored(candidate, {
          loading: loadingMs,
          slotWait: slotWaitMs,
          queued: queuedMs,
          prefill: prefillMs,
          decode: decodeMs,
          pressure,
          failures: failureMs(cost, candidate),
        })
      }),
    ),
}
