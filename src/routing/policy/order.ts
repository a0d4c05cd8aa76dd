import type { Candidate, Ranked } from './contract.ts'
import { tuning } from './tuning.ts'

/** Best first. Equal scores: who was chosen longest ago, so that ties rotate; then the smaller id. */
export function inOrder(ranked: Ranked[]): Ranked[] {
  return ranked.sort(
    (a, b) =>
      a.score - b.score || a.candidate.lastChosen - b.candidate.lastChosen || a.candidate.id - b.candidate.id,
  )
}

/** A candidate whose score is the sum of its terms. */
export function scored(candidate: Candidate, terms: Readonly<Record<string, number>>): Ranked {
  let score = 0
  for (const name in terms) score += terms[name] ?? 0
  return { candidate, score, terms }
}

/**
 * The term that puts an instance which still loads behind all that are ready: for policies that count requests, an
 * empty instance that takes a minute to load would be the best one.
 */
export function loadingPoints({ loadingMs }: Candidate): number {
  return loadingMs > 0 ? tuning.lastPoints : 0
}
