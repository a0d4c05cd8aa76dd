import { commonPrefix, pickSlot } from '../slot-choice.ts'

/** Characters; see `pickSlot`. Some fifty tokens are computed anew in no time. */
const limits = { slack: 24, little: 192 }
/** Less of a prompt is not worth a session. */
const leastSharedPart = 0.1

/** A slot that was taken, and has to be given back. */
export interface Slot {
  readonly id: number
  /** It holds the prompt that it was taken for, and this after it. */
  release(answer: string): void
  /** It holds what it did before. */
  putBack(): void
  /** It holds nothing. */
  clear(): void
}

/**
 * Which slot of a server holds what. The server's own choice lets conversations that begin alike (one system prompt)
 * take each other's slot while others are empty, so Drover chooses, and names the slot in each request.
 */
export interface SlotTable {
  /** The best idle slot for a prompt; there has to be one. */
  take(prompt: string): Slot
  /** The idle slot that holds the longest beginning of a prompt; undefined where none holds much of it. */
  takeHolder(prompt: string): Slot | undefined
  /** An idle slot to be filled with a prompt by other means: an empty one, or the one not used for longest. */
  takeToFill(prompt: string): Slot | undefined
}

interface Entry {
  id: number
  content: string
  promptLength: number
  lastUsed: number
  taken: boolean
}

export function createSlotTable(count: number): SlotTable {
  const entries: Entry[] = Array.from({ length: count }, (_, id) => ({
    id,
    content: '',
    promptLength: 0,
    lastUsed: 0,
    taken: false,
  }))
  let uses = 0
  const idle = () => entries.filter((entry) => !entry.taken)

  function choose(prompt: string): Entry | undefined {
    const free = idle()
    const choices = free.map(({ content, promptLength, lastUsed }) => ({
      shared: commonPrefix(content, prompt),
      promptLength,
      length: content.length,
      lastUsed,
    }))
    return free[pickSlot(choices, prompt.length, limits)]
  }

  function taken(entry: Entry, prompt: string): Slot {
    const holds = (content: string, promptLength: number) =>
      Object.assign(entry, { content, promptLength, lastUsed: ++uses, taken: false })
    entry.taken = true
    return {
      id: entry.id,
      release: (answer) => holds(prompt + answer, prompt.length),
      putBack() {
        entry.taken = false
      },
      clear: () => holds('', 0),
    }
  }

  return {
    take(prompt) {
      const entry = choose(prompt)
      if (!entry) throw new Error('no slot is idle')
      return taken(entry, prompt)
    },
    takeHolder(prompt) {
      const [holder] = idle()
        .map((entry) => ({ entry, shared: commonPrefix(entry.content, prompt) }))
        .sort((a, b) => b.shared - a.shared)
      const enough = holder && holder.shared > 0 && holder.shared >= prompt.length * leastSharedPart
      return enough ? taken(holder.entry, prompt) : undefined
    },
    takeToFill(prompt) {
      const entry = choose('')
      return entry && taken(entry, prompt)
    },
  }
}
