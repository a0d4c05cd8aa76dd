/**
 * Each in turn.
 *
 *     score = number of the last decision that chose it
 *
 * Points; no constants. A new instance has 0 and is next; one that still loads comes after all that are ready. Knows
 * nothing of speed, load, cache or health. Linear in the candidates, one sort.
 */
import type { Policy } from './contract.ts'
import { fact } from './costs.ts'
import { inOrder, loadingPoints, scored } from './order.ts'

export const roundRobin: Policy = {
  name: 'round_robin',
  about: 'Each in turn: the one that was chosen longest ago.',
  unit: 'points',
  rank: (_request, candidates) =>
    inOrder(
      candidates.map((candidate) =>
        scored(candidate, { lastChosen: fact(candidate.lastChosen), loading: loadingPoints(candidate) }),
      ),
    ),
}
