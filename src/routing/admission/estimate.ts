export interface WaitFacts {
  /** Tickets before this one. */
  position: number
  /** Requests that run at once. */
  slots: number
  /** How long those that run now will still run. */
  runningMs: readonly number[]
  /** How long one that waits will run. */
  meanServiceMs: number
}

/**
 * When a waiting ticket will start: each slot serves one ticket after the other from the end of what it runs now, and
 * the ticket takes the start after those of the tickets before it. Infinity where nothing will ever run it.
 *
 * The first few slots to end are all that matter where the wait is shorter than what the others run; how many, is
 * searched, so that the cost is that of sorting the slots, whatever the position.
 */
export function waitEstimateMs({ position, slots, runningMs, meanServiceMs }: WaitFacts): number {
  if (slots < 1) return Number.POSITIVE_INFINITY
  const ends = runningMs.map((ms) => Math.max(0, ms))
  while (ends.length < slots) ends.push(0)
  ends.sort((a, b) => a - b)
  // Where more run than there are slots, the first ends leave no slot behind.
  const freeAt = ends.slice(ends.length - slots)
  if (position < 1 || meanServiceMs <= 0) return freeAt[0] ?? 0
  let used = 1
  let most = slots
  while (used < most) {
    const middle = (used + most) >> 1
    const startMs = nthStartMs(freeAt.slice(0, middle), position, meanServiceMs)
    if (startMs <= (freeAt[middle] ?? Number.POSITIVE_INFINITY)) most = middle
    else used = middle + 1
  }
  return nthStartMs(freeAt.slice(0, used), position, meanServiceMs)
}

/** Start number `position`, counted from 0, of those that slots make which are free from these times on, ascending. */
function nthStartMs(freeAt: readonly number[], position: number, serviceMs: number): number {
  const lastFreeMs = freeAt.at(-1) ?? 0
  let startsBefore = 0
  // From `lastFreeMs` on every slot starts one ticket in each stretch of `serviceMs`.
  const inFirstStretch = freeAt.map((ms) => {
    const starts = Math.ceil((lastFreeMs - ms) / serviceMs)
    startsBefore += starts
    return ms + starts * serviceMs
  })
  inFirstStretch.sort((a, b) => a - b)
  const left = position - startsBefore
  // So many start while the last slot is not even free: fewer slots tell when.
  if (left < 0) return Number.NEGATIVE_INFINITY
  const stretch = Math.floor(left / freeAt.length)
  return (inFirstStretch[left % freeAt.length] ?? 0) + stretch * serviceMs
}
