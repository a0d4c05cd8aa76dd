/** One of a model's places for a request, as llama-server shows them. */
export interface Slot {
  readonly id: number
  /** The request that runs in it. */
  task: number | undefined
  /** Tokens of its last request, prompt and answer: what a save of the slot writes. */
  tokens: readonly number[]
  /** Tokens of the present answer. */
  decoded: number
}

export interface Slots {
  readonly all: readonly Slot[]
  /** A free slot: the wanted one, else the one whose tokens begin most like the prompt, else the first. */
  take(task: number, prompt: readonly number[], wanted: number | undefined): Slot
  leave(slot: Slot, tokens: readonly number[]): void
}

/** The slots of one model. A modelled instance decides when a request runs; here it gets a number. */
export function createSlots(count: number): Slots {
  const all: Slot[] = Array.from({ length: count }, (_, id) => ({
    id,
    task: undefined,
    tokens: [],
    decoded: 0,
  }))
  return {
    all,
    take(task, prompt, wanted) {
      const free = all.filter((slot) => slot.task === undefined)
      const asked = free.find(({ id }) => id === wanted)
      const slot = asked ?? mostAlike(free, prompt)
      if (!slot) throw new Error(`${count} slots are taken, and a request more runs`)
      slot.task = task
      slot.decoded = 0
      return slot
    },
    leave(slot, tokens) {
      slot.task = undefined
      slot.tokens = tokens
    },
  }
}

function mostAlike(slots: readonly Slot[], prompt: readonly number[]): Slot | undefined {
  let best = slots[0]
  let most = 0
  for (const slot of slots) {
    const shared = sharedPrefix(slot.tokens, prompt)
    if (shared > most) {
      most = shared
      best = slot
    }
  }
  return best
}

function sharedPrefix(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length)
  let count = 0
  while (count < most && a[count] === b[count]) count++
  return count
}
