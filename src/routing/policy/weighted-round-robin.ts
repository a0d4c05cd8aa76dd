/**
 * Each in turn, as often as its weight says.
 *
 *     score = (times chosen + 1) / (weight * health)
 *
 * Points: the turn at which it would be level with its share, so that weights 3 and 1 give A A B A and not A A A B (the
 * divisor method of D'Hondt, which is what smooth weighted round robin comes to). Health takes part of the weight away
 * while it is low. A weight of 0 or less counts as `leastWeight`. Who joins late has to be given a count to start
 * with, or it has all the turns until it is level. Linear in the candidates, one sort.
 */
import type { Policy } from './contract.ts'
import { fact } from './costs.ts'
import { inOrder, loadingPoints, scored } from './order.ts'
import { tuning } from './tuning.ts'

export const weightedRoundRobin: Policy = {
  name: 'weighted_round_robin',
  about: 'Each in turn, as often as its weight and its health say.',
  unit: 'points',
  rank: (_request, candidates) =>
    inOrder(
      candidates.map((candidate) => {
        const share =
          Math.max(fact(candidate.weight), tuning.leastWeight) *
          Math.min(1, Math.max(fact(candidate.health), tuning.leastHealth))
        return scored(candidate, {
          turn: (fact(candidate.chosen) + 1) / share,
          loading: loadingPoints(candidate),
        })
      }),
    ),
}
