/** After so long an outcome counts half. */
export const halfLifeMs = 30_000
/** What an instance is credited with beforehand, in good outcomes: so a single failure does not condemn it. */
const credit = 2

/** Outcomes of an instance, faded to the time of the last one. */
export interface Score {
  good: number
  all: number
  atMs: number
}

export function newScore(nowMs: number): Score {
  return { good: 0, all: 0, atMs: nowMs }
}

/** `goodness`: 1 for a good outcome, 0 for a bad one, between them for one that was neither. */
export function addOutcome(score: Score, goodness: number, nowMs: number): void {
  const kept = fade(score, nowMs)
  score.good = score.good * kept + goodness
  score.all = score.all * kept + 1
  score.atMs = Math.max(score.atMs, nowMs)
}

/**
 * The share of good ones, from 0 to 1. With time the outcomes fade against the credit, and the share returns to 1: an
 * instance that gets no requests because it failed is tried again.
 */
export function shareOfGood(score: Score, nowMs: number): number {
  const kept = fade(score, nowMs)
  return (score.good * kept + credit) / (score.all * kept + credit)
}

function fade({ atMs }: Score, nowMs: number): number {
  return 0.5 ** (Math.max(0, nowMs - atMs) / halfLifeMs)
}
