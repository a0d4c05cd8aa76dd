/**
 * The longest cached prefix, while load is in balance: SGLang's `cache_aware` rule.
 *
 *     abs        = min(prefixAbs, half the slots of the largest instance)
 *     imbalanced = max - min > abs  and  max > prefixRel * min          (requests in slots)
 *     by prefix  = imbalanced, or best match / prompt > prefixThreshold
 *     score      = uncached tokens, + lastPoints where imbalanced and load > min + abs      by prefix
 *                = requests in slots                                                      else
 *
 * Points. Ties go to fewer requests. Where the original drops affinity altogether once load is out of balance, and so
 * computes every popular prefix anew wherever load happens to be least, the longest match among the instances with
 * little load is taken here. The whole prompt is the key, salted by tenant, not the first message; the books are
 * corrected by what engines report. Linear in the candidates, one sort.
 */
import type { Candidate, Policy } from './contract.ts'
import { fact, uncachedTokens } from './costs.ts'
import { inOrder, loadingPoints, scored } from './order.ts'
import { tuning } from './tuning.ts'

export const prefix: Policy = {
  name: 'prefix',
  about:
    'The longest cached prefix among those that are not overloaded; else the one with the fewest requests.',
  unit: 'points',
  rank: (request, candidates) => {
    const bound = loadBound(candidates)
    const uncached = candidates.map((candidate) => uncachedTokens(request, candidate))
    const prompt = fact(request.promptTokens)
    const best = prompt - uncached.reduce((least, tokens) => Math.min(least, tokens), prompt)
    const byPrefix = bound < Number.POSITIVE_INFINITY || best > tuning.prefixThreshold * prompt
    const ranked = candidates.map((candidate, at) => {
      const running = fact(candidate.running)
      const overloaded = running > bound ? tuning.lastPoints : 0
      const loading = loadingPoints(candidate)
      if (!byPrefix) return scored(candidate, { running, overloaded, loading })
      // Less than a token in all: it decides between equals only.
      const tie = running / (running + 1)
      return scored(candidate, {
        uncached: Math.ceil(uncached[at] ?? prompt),
        running: tie,
        overloaded,
        loading,
      })
    })
    return inOrder(ranked)
  },
}

/** The load above which an instance is left alone; Infinity while load is in balance. */
function loadBound(candidates: readonly Candidate[]): number {
  let least = Number.POSITIVE_INFINITY
  let most = 0
  let slots = 0
  for (const candidate of candidates) {
    const running = fact(candidate.running)
    least = Math.min(least, running)
    most = Math.max(most, running)
    slots = Math.max(slots, fact(candidate.slots))
  }
  const abs = Math.min(tuning.prefixAbs, Math.max(1, slots / 2))
  return most - least > abs && most > tuning.prefixRel * least ? least + abs : Number.POSITIVE_INFINITY
}
