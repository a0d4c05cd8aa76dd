/**
 * The better of two drawn by lot (Mitzenmacher's power of two choices).
 *
 *     score = requests in its slots, + lastPoints for those not drawn
 *
 * Points. Two different ones are drawn with equal chance among those that are ready, or among all where fewer than
 * two are; the rest follow, fewest requests first, as places to turn to. Several gateways with old figures do not all
 * run to the same instance. Linear in the candidates, one sort.
 */
import type { Candidate, Policy, PolicyContext } from './contract.ts'
import { fact } from './costs.ts'
import { inOrder, loadingPoints, scored } from './order.ts'
import { tuning } from './tuning.ts'

export const powerOfTwo: Policy = {
  name: 'power_of_two',
  about: 'Of two drawn by lot the one with fewer requests.',
  unit: 'points',
  rank: (_request, candidates, context) => {
    const drawn = drawTwo(candidates, context)
    return inOrder(
      candidates.map((candidate) =>
        scored(candidate, {
          running: fact(candidate.running),
          notDrawn: drawn.includes(candidate) ? 0 : tuning.lastPoints,
          loading: loadingPoints(candidate),
        }),
      ),
    )
  },
}

function drawTwo(candidates: readonly Candidate[], { random }: PolicyContext): (Candidate | undefined)[] {
  const ready = candidates.filter(({ loadingMs }) => !(loadingMs > 0))
  const urn = ready.length >= 2 ? ready : candidates
  const first = Math.floor(random() * urn.length)
  const other = Math.floor(random() * (urn.length - 1))
  return [urn[first], urn[other < first ? other : other + 1]]
}
