import { describe, expect, it } from 'vitest'
import { createPrefixIndex, type PrefixBlocks, type PrefixIndex, textBlocks } from './index.ts'
import { promptOf, range } from './testing.ts'

const create = (options: { budgetBytes?: number; maxAgeMs?: number } = {}) =>
  createPrefixIndex({ budgetBytes: 1_000_000, maxAgeMs: Infinity, ...options })

/** Who holds how much of a prompt, by instance. */
const holders = (index: PrefixIndex, prompt: PrefixBlocks, nowMs = 0) =>
  Object.fromEntries(index.match(prompt, nowMs).map(({ instance, blocks }) => [instance, blocks]))

describe('what was sent where', () => {
  it('is found by the longest beginning first', () => {
    const index = create()
    index.insert(1, promptOf(range(0, 8)), 0)
    index.insert(2, promptOf([...range(0, 5), 90, 91]), 0)
    index.insert(3, promptOf([70, 71]), 0)
    expect(index.match(promptOf(range(0, 20)), 0)).toEqual([
      { instance: 1, blocks: 8 },
      { instance: 2, blocks: 5 },
    ])
    expect(index.match(promptOf(range(0, 20)), 0, 1)).toEqual([{ instance: 1, blocks: 8 }])
    expect(index.match(promptOf([80]), 0)).toEqual([])
    expect(index.heldBy(2, promptOf(range(0, 20)), 0)).toBe(5)
    expect(index.heldBy(9, promptOf(range(0, 20)), 0)).toBe(0)
  })

  it('is known at once: the second of two identical prompts that arrive together finds the first', () => {
    const index = create()
    const prompt = textBlocks('Summarize this report. '.repeat(100), {
      salt: 'anna',
      blockBytes: 256,
      bytesPerToken: 4,
    })
    const send = (otherwise: number) => {
      const instance = index.match(prompt, 0, 1)[0]?.instance ?? otherwise
      index.insert(instance, prompt, 0)
      return instance
    }
    expect([send(4), send(7), send(2)]).toEqual([4, 4, 4])
  })

  it('grows with a conversation', () => {
    const index = create()
    for (let turn = 1; turn <= 10; turn++) {
      const prompt = promptOf(range(0, turn * 3))
      expect(index.heldBy(1, prompt, turn)).toBe((turn - 1) * 3)
      index.insert(1, prompt, turn)
    }
    expect(index.stats().records).toBe(30)
  })

  it('is never another tenant’s', () => {
    const index = create()
    const text = 'You are a helpful assistant. '.repeat(100)
    const of = (tenant: string) =>
      textBlocks(text, { salt: `${tenant}\0llama`, blockBytes: 64, bytesPerToken: 4 })
    index.insert(1, of('anna'), 0)
    expect(index.match(of('bert'), 0)).toEqual([])
    expect(holders(index, of('anna'))).toEqual({ 1: 45 })
  })

  it('stays in the memory of a thousand holders of one system prompt, each with its own conversation', () => {
    const index = create({ budgetBytes: 4_000_000 })
    const system = range(0, 10)
    for (let id = 0; id < 1000; id++) index.insert(id, promptOf([...system, 1000 + id, 5000 + id]), 0)
    expect(index.match(promptOf([...system, 1700]), 0, 1)).toEqual([{ instance: 700, blocks: 11 }])
    expect(index.match(promptOf(system), 0)).toHaveLength(1000)
    expect(index.match(promptOf(system), 0, 16)).toHaveLength(16)
    expect(index.stats().records).toBe(12_000)
  })
})

describe('an instance that goes', () => {
  it('is forgotten, and nothing but it', () => {
    const index = create()
    const prompt = promptOf(range(0, 20))
    for (const id of [1, 2, 3]) index.insert(id, prompt, 0)
    index.insert(2, promptOf([...range(0, 3), 50, 51]), 0)
    index.insert(3, promptOf([60]), 0)
    index.forget(2)
    expect(holders(index, prompt)).toEqual({ 1: 20, 3: 20 })
    expect(index.match(promptOf([0, 1, 2, 50]), 0).map(({ blocks }) => blocks)).toEqual([3, 3])
    expect(holders(index, promptOf([60]))).toEqual({ 3: 1 })
    expect(index.stats()).toMatchObject({ records: 41, evicted: 0, corrected: 0 })
  })

  it('comes back with nothing, its capacity to be told again', () => {
    const index = create()
    index.setCapacity(1, 5)
    index.insert(1, promptOf(range(0, 20)), 0)
    index.forget(1)
    index.forget(1)
    expect(index.heldBy(1, promptOf(range(0, 20)), 0)).toBe(0)
    index.insert(1, promptOf(range(0, 20)), 0)
    expect(index.heldBy(1, promptOf(range(0, 20)), 0)).toBe(20)
  })
})

describe('an instance’s capacity', () => {
  it('costs the prompt that was not used for longest, from its tail', () => {
    const index = create()
    const [first, second, third] = [0, 100, 200].map((at) => promptOf(range(at, at + 10)))
    if (!first || !second || !third) throw new Error('three prompts were made')
    index.setCapacity(1, 25)
    index.insert(1, first, 1)
    index.insert(1, second, 2)
    index.insert(1, first, 3)
    index.insert(1, third, 4)
    const held = [first, second, third].map((prompt) => index.heldBy(1, prompt, 5))
    expect(held).toEqual([10, 5, 10])
    expect(index.stats()).toMatchObject({ records: 25, evicted: 5 })
  })

  it('keeps a common beginning for as long as any of its continuations', () => {
    const index = create()
    const system = range(0, 10)
    index.setCapacity(1, 16)
    index.insert(1, promptOf([...system, 100, 101, 102]), 1)
    index.insert(1, promptOf([...system, 200, 201, 202]), 2)
    index.insert(1, promptOf([...system, 300, 301, 302]), 3)
    expect(index.heldBy(1, promptOf([...system, 100]), 4)).toBe(10)
    expect(index.heldBy(1, promptOf([...system, 200, 201, 202]), 4)).toBe(13)
  })

  it('leaves of a prompt that is larger its beginning', () => {
    const index = create()
    index.setCapacity(1, 7)
    index.insert(1, promptOf(range(0, 50)), 0)
    expect(index.heldBy(1, promptOf(range(0, 50)), 0)).toBe(7)
  })

  it('is its own: nobody else loses what they share', () => {
    const index = create()
    const prompt = promptOf(range(0, 20))
    index.insert(1, prompt, 0)
    index.insert(2, prompt, 0)
    index.setCapacity(1, 8)
    expect(holders(index, prompt)).toEqual({ 1: 8, 2: 20 })
    index.setCapacity(1, 0)
    expect(holders(index, prompt)).toEqual({ 2: 20 })
    index.insert(1, prompt, 0)
    expect(holders(index, prompt)).toEqual({ 2: 20 })
  })

  it('is a number of blocks', () => {
    expect(() => create().setCapacity(4, -1)).toThrow('instance 4 cannot hold -1 blocks')
  })
})

describe('what an engine reports', () => {
  it('takes away what it did not have, and all that would continue it', () => {
    const index = create()
    const prompt = promptOf(range(0, 10))
    index.insert(1, prompt, 0)
    index.insert(1, promptOf([...range(0, 8), 50, 51]), 0)
    index.insert(1, promptOf([...range(0, 2), 60]), 0)
    index.insert(2, prompt, 0)
    index.correct(1, prompt, 4, 1)
    expect(holders(index, prompt)).toEqual({ 1: 4, 2: 10 })
    expect(index.heldBy(1, promptOf([...range(0, 8), 50, 51]), 1)).toBe(4)
    expect(index.heldBy(1, promptOf([0, 1, 60]), 1)).toBe(3)
    expect(index.stats().corrected).toBe(8)
  })

  it('adds what it did have', () => {
    const index = create()
    const prompt = promptOf(range(0, 10))
    index.correct(1, prompt, 6, 0)
    expect(index.heldBy(1, prompt, 0)).toBe(6)
    index.correct(1, prompt, 99, 0)
    expect(index.heldBy(1, prompt, 0)).toBe(10)
    expect(index.stats().corrected).toBe(0)
  })

  it('is what it has evicted: that is gone, and what is left is no more used than before', () => {
    const index = create()
    const prompt = promptOf(range(0, 10))
    const since = promptOf(range(20, 30))
    for (const instance of [1, 2]) index.insert(instance, prompt, 0)
    index.insert(1, since, 1)
    index.evict(1, prompt, 6, 2)
    expect(holders(index, prompt)).toEqual({ 1: 6, 2: 10 })
    // Still the least recently used.
    index.setCapacity(1, 10)
    expect([index.heldBy(1, prompt, 2), index.heldBy(1, since, 2)]).toEqual([0, 10])
    index.evict(1, prompt, 4, 3)
    index.evict(3, prompt, 4, 3)
    expect(holders(index, prompt), 'and nobody is said to hold anything').toEqual({ 2: 10 })
    expect(index.stats()).toMatchObject({ records: 20, corrected: 4 })
  })

  it('may be that it had nothing', () => {
    const index = create()
    const prompt = promptOf(range(0, 10))
    index.correct(1, prompt, 0, 0)
    index.insert(1, prompt, 0)
    index.correct(1, prompt, 0, 1)
    expect(index.match(prompt, 1)).toEqual([])
    expect(index.stats()).toMatchObject({ records: 0, corrected: 10 })
  })
})

describe('age', () => {
  it('ends what was not used for so long, and use begins it anew', () => {
    const index = create({ maxAgeMs: 1000 })
    const system = range(0, 8)
    const [old, used] = [promptOf([...system, 20, 21]), promptOf([...system, 30, 31])]
    index.insert(1, old, 0)
    index.insert(1, used, 0)
    index.insert(1, used, 600)
    expect(index.match(old, 1000)[0]?.blocks).toBe(10)
    expect(index.match(old, 1001)[0]?.blocks).toBe(8)
    expect(index.match(used, 1600)[0]?.blocks).toBe(10)
    expect(index.match(used, 1601)).toEqual([])
    expect(index.stats()).toMatchObject({ records: 0, evicted: 0 })
  })
})

describe('the budget', () => {
  it('is kept, at the cost of what nobody has used for longest, whosever it is', () => {
    const budgetBytes = 20_000
    const index = create({ budgetBytes })
    const prompts = range(0, 200).map((at) => promptOf(range(at * 100, at * 100 + 12)))
    for (const [at, prompt] of prompts.entries()) {
      index.insert(at % 3, prompt, at)
      if (prompts[0]) index.insert(2, prompts[0], at)
      expect(index.stats().bytes).toBeLessThanOrEqual(budgetBytes)
    }
    const kept = prompts.map((prompt) => index.match(prompt, 200)[0]?.blocks ?? 0)
    const firstKept = kept.findIndex((blocks, at) => at > 0 && blocks > 0)
    expect(kept[0]).toBe(12)
    expect(firstKept).toBeGreaterThan(100)
    expect(firstKept).toBeLessThan(160)
    // Whatever was used after the first that is left is left too, whole.
    expect(kept.slice(firstKept + 1).every((blocks) => blocks === 12)).toBe(true)
    const { records, evicted } = index.stats()
    // The first prompt on instance 0 and on instance 2, and all others once.
    expect(records + evicted).toBe(201 * 12)
  })

  it('drops tails before heads', () => {
    const index = create({ budgetBytes: 4000 })
    const long = promptOf(range(0, 60))
    index.insert(1, long, 0)
    const held: number[] = []
    for (let at = 1; at < 30; at++) {
      index.insert(2, promptOf(range(at * 100, at * 100 + 6)), at)
      held.push(index.heldBy(1, long, at))
    }
    expect(held[0]).toBe(60)
    expect(held.at(-1)).toBe(0)
    expect(held).toEqual(held.toSorted((a, b) => b - a))
    expect(new Set(held).size).toBeGreaterThan(5)
  })

  it('may be smaller than one prompt, which then is held as far as it fits', () => {
    const index = create({ budgetBytes: 3000 })
    const long = promptOf(range(0, 1000))
    index.insert(1, long, 0)
    const held = index.heldBy(1, long, 0)
    expect(held).toBeGreaterThan(100)
    expect(index.stats().records).toBe(held)
    index.insert(2, promptOf(range(2000, 2012)), 1)
    expect(index.heldBy(2, promptOf(range(2000, 2012)), 1)).toBe(12)
    expect(index.heldBy(1, long, 1)).toBeGreaterThan(90)
  })

  it('has to be enough for something', () => {
    for (const budgetBytes of [0, 100, Number.NaN, Infinity])
      expect(() => create({ budgetBytes })).toThrow(`keep to ${budgetBytes} bytes`)
  })
})
