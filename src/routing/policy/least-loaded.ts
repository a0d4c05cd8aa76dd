/**
 * Fewest requests.
 *
 *     score = requests in its slots
 *
 * Points; no constants. Ties rotate. One that still loads comes after all that are ready. Knows nothing of how fast
 * an instance is or how long a request. Linear in the candidates, one sort.
 */
import type { Policy } from './contract.ts'
import { fact } from './costs.ts'
import { inOrder, loadingPoints, scored } from './order.ts'

export const leastLoaded: Policy = {
  name: 'least_loaded',
  about: 'The one with the fewest requests.',
  unit: 'points',
  rank: (_request, candidates) =>
    inOrder(
      candidates.map((candidate) =>
        scored(candidate, { running: fact(candidate.running), loading: loadingPoints(candidate) }),
      ),
    ),
}
