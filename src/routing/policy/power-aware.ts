/**
 * Least energy.
 *
 *     work  = (uncached / prefill rate + output * decode step(batch + 1) / (batch + 1)) seconds
 *     score = (watts * work + patienceWatts * predicted finish in seconds) / health
 *
 * Points are joules; constants in `tuning.ts`. A decoding step's energy is shared by all who are in it, so requests
 * gather on few devices; `patienceWatts` says how long anyone waits for that. Watts that nobody knows count as the
 * greatest known ones, and where none are, all are alike. Linear in the candidates, one sort.
 */
import type { Candidate, Policy } from './contract.ts'
import { decodeStepMs, fact, failureMs, predict, prefillMs, uncachedTokens } from './costs.ts'
import { inOrder, scored } from './order.ts'
import { tuning } from './tuning.ts'

export const powerAware: Policy = {
  name: 'power_aware',
  about: 'The one that spends the least energy on it, a second of waiting counted as 100 J.',
  unit: 'points',
  rank: (request, candidates) => {
    const greatest = greatestWatts(candidates)
    return inOrder(
      candidates.map((candidate) => {
        const batch = fact(candidate.running) + 1
        const decodeMs = (fact(request.outputTokens) * decodeStepMs(batch, candidate.rates)) / batch
        const workMs = prefillMs(uncachedTokens(request, candidate), candidate.rates) + decodeMs
        const energyJ = (fact(candidate.watts) || greatest) * (workMs / 1000)
        const patienceJ = tuning.patienceWatts * (predict(request, candidate).finishMs / 1000)
        return scored(candidate, {
          energy: energyJ,
          patience: patienceJ,
          failures: failureMs(energyJ + patienceJ, candidate),
        })
      }),
    )
  },
}

function greatestWatts(candidates: readonly Candidate[]): number {
  let greatest = 0
  for (const { watts } of candidates) greatest = Math.max(greatest, fact(watts))
  return greatest || tuning.assumedWatts
}
