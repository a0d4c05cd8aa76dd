import { pickSlot } from '../../engines/index.ts'

/**
 * What an instance holds whose slots have a cache each (`EngineInstance.cachesBySlot`). A prompt finds there what is in
 * the one slot that it is given, which the engine chooses by `pickSlot`: nothing of what other slots hold, though that
 * be the same system prompt. So the choice is followed here, with hashes in place of text.
 */
export interface SlotCaches {
  /** Leading blocks that a prompt would find. */
  found(hashes: readonly number[]): number
  /** A request is given a slot. `filled`: it holds what was saved of the prompt, read from disk. */
  take(requestId: number, hashes: readonly number[], filled: boolean): void
  /** It has ended, and left prompt and answer there. */
  release(requestId: number, hashes: readonly number[]): void
}

interface Slot {
  hashes: readonly number[]
  /** Blocks of the prompt, the incomplete last one counted as a half; 0 where it holds nothing. */
  promptLength: number
  lastUsed: number
  takenBy: number | undefined
}

/** The half of a block that nobody sees. */
const slack = 0.5
const lengthOf = (hashes: readonly number[]) => hashes.length + slack

export function createSlotCaches(count: number): SlotCaches {
  const slots: Slot[] = Array.from({ length: count }, () => ({
    hashes: [],
    promptLength: 0,
    lastUsed: 0,
    takenBy: undefined,
  }))
  let uses = 0

  function choose(hashes: readonly number[]): Slot | undefined {
    const idle = slots.filter(({ takenBy }) => takenBy === undefined)
    // Whoever waits for a slot gets what one of them holds now, or more.
    const choices = idle.length > 0 ? idle : slots
    const picked = pickSlot(
      choices.map((slot) => ({
        ...slot,
        length: slot.hashes.length,
        shared: sharedBlocks(slot.hashes, hashes),
      })),
      lengthOf(hashes),
      // What is not seen in blocks is little.
      { slack, little: 0 },
    )
    return choices[picked]
  }

  return {
    found(hashes) {
      const slot = choose(hashes)
      return slot ? sharedBlocks(slot.hashes, hashes) : 0
    },
    take(requestId, hashes, filled) {
      // A slot is filled whatever it holds; the prompt takes the same one then.
      const slot = choose(filled ? [] : hashes)
      if (slot) Object.assign(slot, { hashes, promptLength: lengthOf(hashes), takenBy: requestId })
    },
    release(requestId, hashes) {
      const slot = slots.find(({ takenBy }) => takenBy === requestId)
      if (slot) Object.assign(slot, { hashes, lastUsed: ++uses, takenBy: undefined })
    },
  }
}

/** Hashes are chained: where two are equal, so are all before them. */
function sharedBlocks(left: readonly number[], right: readonly number[]): number {
  let shared = 0
  let beyond = Math.min(left.length, right.length)
  while (shared < beyond) {
    const middle = (shared + beyond) >> 1
    if (left[middle] === right[middle]) shared = middle + 1
    else beyond = middle
  }
  return shared
}
