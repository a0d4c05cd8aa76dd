/**
 * Where the model is loaded and the conversation has been.
 *
 *     score = requests in its slots + lastPoints if it still loads + awayPoints unless it has the session
 *
 * Points. The session belongs to the instance that served it last, as long as that one has a slot free or at most
 * `sessionLoadFactor` times the mean number of requests (consistent hashing with bounded loads, as KubeAI has it): an
 * instance with popular sessions does not drown in them. Without a session the fewest requests decide. Linear in the
 * candidates, one sort.
 */
import type { Candidate, Policy } from './contract.ts'
import { fact } from './costs.ts'
import { inOrder, loadingPoints, scored } from './order.ts'
import { tuning } from './tuning.ts'

export const locality: Policy = {
  name: 'locality',
  about: 'Where the model is loaded and its session was last; else the one with the fewest requests.',
  unit: 'points',
  rank: (_request, candidates) => {
    const home = homeOf(candidates)
    return inOrder(
      candidates.map((candidate) =>
        scored(candidate, {
          running: fact(candidate.running),
          away: home === undefined || candidate === home ? 0 : tuning.awayPoints,
          loading: loadingPoints(candidate),
        }),
      ),
    )
  },
}

/** Who has the session, unless it has too much to do. */
function homeOf(candidates: readonly Candidate[]): Candidate | undefined {
  let home: Candidate | undefined
  let running = 0
  for (const candidate of candidates) {
    running += fact(candidate.running)
    if (candidate.sessionAtMs !== undefined && (home === undefined || isLater(candidate, home)))
      home = candidate
  }
  if (home === undefined) return undefined
  const bound = (tuning.sessionLoadFactor * (running + 1)) / candidates.length
  return fact(home.slotWaitMs) === 0 || fact(home.running) <= bound ? home : undefined
}

function isLater(a: Candidate, b: Candidate): boolean {
  const laterMs = fact(a.sessionAtMs) - fact(b.sessionAtMs)
  return laterMs > 0 || (laterMs === 0 && a.id < b.id)
}
