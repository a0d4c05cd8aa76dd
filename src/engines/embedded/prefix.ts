/** How many tokens two token lists begin with in common. */
export function commonPrefix(left: readonly number[], right: readonly number[]): number {
  const length = Math.min(left.length, right.length)
  let shared = 0
  while (shared < length && left[shared] === right[shared]) shared++
  return shared
}

export interface SlotChoice {
  /** Tokens in its cache that the prompt begins with. */
  sharedTokens: number
  /** The higher, the later it was used. */
  lastUsed: number
}

/** A cache that has less of the prompt is worth more to another request (llama-server's default). */
const leastSharedPart = 0.1

/**
 * The index of the slot for a prompt: the one whose cache shares the longest prefix with it, or, where none has
 * a tenth of it, the one that was not used for longest. -1 of no slots.
 */
export function pickSlot(slots: readonly SlotChoice[], promptTokens: number): number {
  let best = -1
  let bestShared = -1
  let bestUsed = 0
  slots.forEach(({ sharedTokens, lastUsed }, index) => {
    const shared = sharedTokens >= promptTokens * leastSharedPart ? sharedTokens : 0
    if (shared > bestShared || (shared === bestShared && lastUsed < bestUsed)) {
      best = index
      bestShared = shared
      bestUsed = lastUsed
    }
  })
  return best
}
