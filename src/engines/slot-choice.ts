/** What tells slots apart for a prompt. Lengths are all in tokens, or all in characters. */
export interface SlotChoice {
  /** How much of its content the prompt begins with. */
  shared: number
  /** The prompt that it last had; its answer came after it. 0 where it holds nothing. */
  promptLength: number
  /** All that it holds, the answer too. */
  length: number
  /** The higher, the later it was used. */
  lastUsed: number
}

/** A cache that has less of the prompt is worth more to another request (llama-server's default). */
const leastSharedPart = 0.1
/** So much of the longest shared beginning is as good as all of it. */
const alikePart = 0.9

/**
 * The index of the slot for a prompt, -1 of no slots. First the one whose conversation goes on: the prompt begins with
 * all that it was last asked, but for at most `slack` at the end (the words that open an answer differ from those that
 * were one). Then an empty one, then of those that share about the longest beginning the one not used for longest. So
 * conversations that begin with the same instructions do not take each other's slot while others are free. But where
 * no more than `little` is lost, the one used last: going round the slots costs the server a millisecond a request.
 */
export function pickSlot(
  slots: readonly SlotChoice[],
  promptLength: number,
  { slack, little }: { slack: number; little: number },
): number {
  const worth = ({ shared }: SlotChoice) => (shared >= promptLength * leastSharedPart ? shared : 0)
  const goesOn = (slot: SlotChoice) =>
    slot.promptLength > 0 && worth(slot) > 0 && slot.shared >= slot.promptLength - slack
  const longestFirst = (a: SlotChoice, b: SlotChoice) => b.shared - a.shared || a.lastUsed - b.lastUsed
  const own = slots.filter(goesOn).sort(longestFirst)[0]
  const longest = Math.max(...slots.map(worth))
  const alike = slots.filter((slot) => worth(slot) >= longest * alikePart)
  const small = alike.filter((slot) => worth(slot) > 0 && slot.length - slot.shared <= little)
  const chosen =
    own ??
    slots.find((slot) => slot.promptLength === 0) ??
    small.sort((a, b) => b.lastUsed - a.lastUsed)[0] ??
    alike.sort((a, b) => a.lastUsed - b.lastUsed)[0]
  return chosen ? slots.indexOf(chosen) : -1
}

/** How much two texts, or two token lists, begin with in common. */
export function commonPrefix<T extends string | readonly number[]>(left: T, right: T): number {
  const length = Math.min(left.length, right.length)
  let shared = 0
  while (shared < length && left[shared] === right[shared]) shared++
  return shared
}
