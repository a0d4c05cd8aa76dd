import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { KvEvent } from './batch.ts'
import { createLedger } from './ledger.ts'

const blockTokens = 2

/** Blocks that begin a prompt, or go on behind `parent`; a hash is `#` and what it stands for. */
function stored(tokens: readonly number[], parent = 0): KvEvent {
  const ends = Array.from(
    { length: (tokens.length - parent) / blockTokens },
    (_, at) => parent + (at + 1) * 2,
  )
  return {
    type: 'stored',
    ids: ends.map((end) => idOf(tokens.slice(0, end))),
    ...(parent > 0 && { parent: idOf(tokens.slice(0, parent)) }),
    tokens: tokens.slice(parent),
    blockTokens,
  }
}
const idOf = (tokens: readonly number[], salt = '') => `${salt}#${tokens.join()}`
const removed = (...prompts: (readonly number[])[]): KvEvent => ({
  type: 'removed',
  ids: prompts.map((tokens) => idOf(tokens)),
})

/** What a follower of this prompt is told. */
function toldOf(ledger: ReturnType<typeof createLedger>, prompt: readonly number[]): number[] {
  const told: number[] = []
  ledger.follow(prompt, (kept) => told.push(kept))
  return told
}

describe('a prompt that is followed', () => {
  it('shrinks by its tail, once for each batch, and is let go when nothing is left', () => {
    const ledger = createLedger()
    const told = toldOf(ledger, [1, 2, 3, 4, 5, 6, 7])
    ledger.apply([stored([1, 2, 3, 4, 5, 6])])
    ledger.apply([removed([1, 2, 3, 4, 5, 6])])
    expect(told).toEqual([4])
    ledger.apply([removed([1, 2, 3, 4]), removed([1, 2])])
    ledger.apply([stored([1, 2])])
    ledger.apply([removed([1, 2])])
    expect(told).toEqual([4, 0])
  })

  it('ends where a block in its middle is gone, and goes on when that comes back', () => {
    const ledger = createLedger()
    ledger.apply([stored([1, 2, 3, 4, 5, 6])])
    const told = toldOf(ledger, [1, 2, 3, 4, 5, 6])
    ledger.apply([removed([1, 2, 3, 4])])
    expect(told).toEqual([2])
    ledger.apply([stored([1, 2, 3, 4], 2)])
    ledger.apply([removed([1, 2, 3, 4, 5, 6])])
    expect(told).toEqual([2, 4])
  })

  it('is told nothing of what came back within a batch, nor of prompts beside it', () => {
    const ledger = createLedger()
    ledger.apply([stored([1, 2, 3, 4]), stored([1, 2, 9, 9], 2), stored([7, 7])])
    const told = toldOf(ledger, [1, 2, 3, 4])
    ledger.apply([removed([1, 2, 3, 4]), stored([1, 2, 3, 4], 2), removed([1, 2, 9, 9]), removed([7, 7])])
    expect(told).toEqual([])
  })

  it('keeps a block of which another copy is there, by the same hash or by another', () => {
    const ledger = createLedger()
    const salted: KvEvent = { type: 'stored', ids: ['salt'], tokens: [1, 2], blockTokens }
    const onHost: KvEvent = { type: 'stored', ids: [idOf([1, 2])], tokens: [], blockTokens }
    ledger.apply([stored([1, 2]), stored([1, 2]), salted, onHost])
    const told = toldOf(ledger, [1, 2])
    for (let copies = 4; copies > 1; copies--)
      ledger.apply([copies === 3 ? { type: 'removed', ids: ['salt'] } : removed([1, 2])])
    expect(told).toEqual([])
    ledger.apply([removed([1, 2])])
    expect(told).toEqual([0])
  })

  it('has nothing left when all is cleared, and nothing is known when all is forgotten', () => {
    const ledger = createLedger()
    const waiting = toldOf(ledger, [8, 8])
    ledger.apply([stored([1, 2, 3, 4])])
    const told = toldOf(ledger, [1, 2, 3, 4])
    ledger.apply([{ type: 'cleared' }, stored([8, 8])])
    expect(told).toEqual([0])
    ledger.apply([removed([8, 8])])
    expect(waiting).toEqual([0])
    ledger.apply([stored([1, 2])])
    const forgotten = toldOf(ledger, [1, 2])
    ledger.forget()
    ledger.apply([removed([1, 2]), { type: 'cleared' }])
    expect(forgotten).toEqual([])
  })

  it('is not judged by blocks whose beginning was never told', () => {
    const ledger = createLedger()
    ledger.apply([stored([1, 2, 3, 4], 2)])
    const told = toldOf(ledger, [1, 2, 3, 4])
    ledger.apply([removed([1, 2, 3, 4]), removed([5, 5])])
    expect(told).toEqual([])
  })
})

it('the oldest prompts are let go beyond the limit, and a cache without bounds is forgotten', () => {
  const ledger = createLedger({ followedTokens: 5, blocks: 3 })
  ledger.apply([stored([1, 2]), stored([3, 4])])
  const told = [toldOf(ledger, [1, 2]), toldOf(ledger, [3, 4]), toldOf(ledger, [1, 2])]
  ledger.apply([removed([1, 2])])
  ledger.apply([removed([3, 4])])
  expect(told).toEqual([[], [0], [0]])
  const forgotten = toldOf(ledger, [5, 6])
  ledger.apply([stored([5, 6]), stored([1, 2, 3, 4, 5, 6])])
  ledger.apply([removed([5, 6])])
  expect(forgotten).toEqual([])
})

it('tells what a plain table of copies tells, whatever is stored and removed in whichever order', () => {
  const prompt = fc.array(fc.nat(1), { maxLength: 8 })
  const salt = fc.constantFrom('', 'a')
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ act: fc.constant('store' as const), prompt, salt, from: fc.nat(3) }),
    },
    { weight: 4, arbitrary: fc.record({ act: fc.constant('remove' as const), prompt, salt }) },
    { weight: 2, arbitrary: fc.record({ act: fc.constant('follow' as const), prompt }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('clear' as const) }) },
  )
  fc.assert(
    fc.property(fc.array(fc.array(step, { maxLength: 4 }), { maxLength: 15 }), (batches) => {
      const ledger = createLedger()
      /** Copies by hash; a hash tells its tokens. */
      const copies = new Map<string, number>()
      const followed: {
        prompt: number[]
        told: number[]
        expected: number[]
        over: boolean
        kept: number
      }[] = []
      const keptOf = (prompt: readonly number[]) => {
        for (let end = blockTokens; ; end += blockTokens) {
          const block = prompt.slice(0, end)
          const there = ['', 'a'].some((salt) => (copies.get(idOf(block, salt)) ?? 0) > 0)
          if (end > prompt.length || !there) return end - blockTokens
        }
      }
      for (const batch of batches) {
        const events: KvEvent[] = []
        const newcomers: number[][] = []
        for (const one of batch) {
          if (one.act === 'clear') {
            copies.clear()
            events.push({ type: 'cleared' })
          } else if (one.act === 'follow') {
            newcomers.push(one.prompt)
          } else if (one.act === 'remove') {
            const id = idOf(one.prompt.slice(0, one.prompt.length & ~1), one.salt)
            if (copies.has(id)) copies.set(id, Math.max(0, (copies.get(id) ?? 0) - 1))
            events.push({ type: 'removed', ids: [id] })
          } else {
            const whole = one.prompt.slice(0, one.prompt.length & ~1)
            let from = Math.min(whole.length, one.from * blockTokens)
            // An engine stores behind what it has.
            while (from > 0 && !copies.get(idOf(whole.slice(0, from), one.salt))) from -= blockTokens
            const event = stored(whole, from)
            if (event.type !== 'stored' || event.ids.length === 0) continue
            const ids = event.ids.map((id) => one.salt + id)
            for (const id of ids) copies.set(id, (copies.get(id) ?? 0) + 1)
            events.push({ ...event, ids, ...(event.parent && { parent: one.salt + event.parent }) })
          }
        }
        ledger.apply(events)
        for (const follower of followed) {
          const kept = keptOf(follower.prompt)
          if (kept < follower.kept && !follower.over) {
            follower.expected.push(kept)
            follower.over = kept === 0
          }
          follower.kept = kept
          expect(follower.told).toEqual(follower.expected)
        }
        for (const prompt of newcomers) {
          const told = toldOf(ledger, prompt)
          followed.push({ prompt, told, expected: [], over: false, kept: keptOf(prompt) })
        }
      }
    }),
    { numRuns: 1500 },
  )
})
