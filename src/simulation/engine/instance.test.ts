import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EngineModel, ModelledEvent, ModelledRequest } from './contract.ts'
import { createModelledInstance } from './instance.ts'

const model: EngineModel = {
  prefillTokensPerS: 1000,
  decodeBaseMs: 10,
  decodePerRequestMs: 1,
  decodePerKvTokenMs: 0.01,
  chunkTokens: 100,
  slots: 4,
  kvTokens: 2000,
  blockTokens: 10,
  loadMs: 1000,
}

/** A chain of blocks that begins with those of `family`. */
const chain = (family: number, blocks: number) =>
  Array.from({ length: blocks }, (_, index) => family * 1000 + index)
const request = (id: number, promptTokens: number, outputTokens: number, family = id): ModelledRequest => ({
  id,
  promptTokens,
  outputTokens,
  hashes: chain(family, Math.floor(promptTokens / 10)),
})

function runAll(instance = createModelledInstance(model)): ModelledEvent[] {
  const events: ModelledEvent[] = []
  for (let nowMs = instance.nextMs(); Number.isFinite(nowMs); nowMs = instance.nextMs()) {
    events.push(...instance.advance(nowMs))
  }
  return events
}
const timeOf = (events: ModelledEvent[], id: number, type: ModelledEvent['type']) =>
  events.find((event) => event.id === id && event.type === type)?.atMs

describe('a modelled instance', () => {
  it('prefills in chunks, decodes a token a step, and each step is longer by the growing cache', () => {
    const instance = createModelledInstance(model)
    instance.submit(request(1, 250, 3), 5)
    const events = runAll(instance)
    expect(events.map(({ type }) => type)).toEqual(['started', 'firstToken', 'done'])
    expect(timeOf(events, 1, 'started')).toBe(5)
    expect(timeOf(events, 1, 'firstToken')).toBeCloseTo(5 + 100 + 100 + 50)
    expect(timeOf(events, 1, 'done')).toBeCloseTo(255 + (11 + 2.51) + (11 + 2.52))
  })

  it('computes prompts of several first come first served, while the others decode', () => {
    const instance = createModelledInstance(model)
    instance.submit(request(1, 50, 5), 0)
    instance.submit(request(2, 150, 5), 0)
    const events = runAll(instance)
    expect(timeOf(events, 1, 'firstToken')).toBeCloseTo(100)
    // 50 of its tokens were computed beside the first prompt, 100 beside a decoding step.
    expect(timeOf(events, 2, 'firstToken')).toBeCloseTo(100 + 100 + 1 + 0.51)
  })

  it('finds what earlier requests left, but always computes the last token', () => {
    const instance = createModelledInstance(model)
    instance.submit(request(1, 100, 2), 0)
    runAll(instance)
    instance.submit(request(2, 100, 2, 1), 1000)
    const [started] = runAll(instance)
    expect(started).toEqual({ type: 'started', id: 2, atMs: 1000, cachedTokens: 90 })
  })

  it('shares blocks that a running request has computed', () => {
    const instance = createModelledInstance(model)
    instance.submit(request(1, 100, 50), 0)
    instance.advance(0)
    instance.submit(request(2, 120, 2, 1), 150)
    const started = runAll(instance).find(({ type, id }) => type === 'started' && id === 2)
    expect(started).toMatchObject({ cachedTokens: 100 })
  })

  it('keeps blocks of an answer whose hashes are known', () => {
    const instance = createModelledInstance(model)
    instance.submit({ id: 1, promptTokens: 95, outputTokens: 30, hashes: chain(1, 12) }, 0)
    runAll(instance)
    expect(instance.cachedBlocks(chain(1, 20))).toBe(12)
  })

  it('evicts the least recently used chain, its end first', () => {
    const instance = createModelledInstance({ ...model, kvTokens: 300 })
    for (const id of [1, 2]) {
      instance.submit(request(id, 100, 10), id)
      runAll(instance)
    }
    instance.submit(request(3, 140, 10), 5000)
    runAll(instance)
    expect([1, 2, 3].map((family) => instance.cachedBlocks(chain(family, 30)))).toEqual([5, 10, 14])
  })

  it('lets requests wait for a slot and for room in the cache', () => {
    const instance = createModelledInstance({ ...model, kvTokens: 250 })
    instance.submit(request(1, 150, 20), 0)
    instance.submit(request(2, 150, 20), 0)
    instance.advance(0)
    expect([instance.running(), instance.waiting()]).toEqual([1, 1])
    const events = runAll(instance)
    expect(timeOf(events, 2, 'started')).toBe(timeOf(events, 1, 'done'))
    expect(instance.kvUse().activeTokens).toBe(0)
  })

  it('refuses what the empty cache could not hold', () => {
    const instance = createModelledInstance(model)
    expect(() => instance.submit(request(1, 1990, 20), 0)).toThrow('more kvTokens')
  })

  it('gives place and keeps the computed blocks when a request is cancelled', () => {
    const instance = createModelledInstance({ ...model, slots: 1 })
    instance.submit(request(1, 100, 500), 0)
    instance.submit(request(2, 100, 5), 0)
    instance.advance(0)
    instance.advance(300)
    instance.cancel(1, 305)
    expect(instance.cachedBlocks(chain(1, 20))).toBe(10)
    const events = runAll(instance)
    expect(timeOf(events, 2, 'started')).toBeLessThan(325)
    expect(timeOf(events, 1, 'done')).toBeUndefined()
    expect(instance.running()).toBe(0)
  })

  it('tells how much of an answer is out in the midst of quiet steps', () => {
    const instance = createModelledInstance(model)
    instance.submit(request(1, 100, 50), 0)
    instance.advance(0)
    instance.advance(100)
    const produced = (nowMs: number) => {
      let count = 0
      instance.eachProduced(nowMs, (_, tokens) => {
        count = tokens
      })
      return count
    }
    expect(produced(100)).toBe(1)
    expect(produced(100 + 12.01 + 12.02 + 1)).toBe(3)
  })

  it('skips ahead to the very times that stepping token by token arrives at', () => {
    const arrivals = fc.array(
      fc.record({
        gapMs: fc.double({ min: 0.01, max: 900, noNaN: true }),
        promptTokens: fc.integer({ min: 1, max: 700 }),
        outputTokens: fc.integer({ min: 0, max: 200 }),
        family: fc.integer({ min: 0, max: 4 }),
        cancelAfterMs: fc.option(fc.double({ min: 0.01, max: 2000, noNaN: true })),
      }),
      { minLength: 1, maxLength: 30 },
    )
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 1, max: 5 }), (list, slots) => {
        const quick = drive({ ...model, slots, kvTokens: 1500 }, list, false)
        const stepped = drive({ ...model, slots, kvTokens: 1500 }, list, true)
        expect(quick.events.map(({ type, id }) => `${type} ${id}`)).toEqual(
          stepped.events.map(({ type, id }) => `${type} ${id}`),
        )
        quick.events.forEach((event, index) => {
          expect(event.atMs).toBeCloseTo(stepped.events[index]?.atMs ?? Number.NaN, 4)
        })
        expect(quick.left).toEqual(stepped.left)
      }),
      { numRuns: 200 },
    )
  })
})

interface Arrival {
  gapMs: number
  promptTokens: number
  outputTokens: number
  family: number
  cancelAfterMs: number | null
}

/** Submits and cancels at the given times, and lets everything happen; what it came to, tokens aside. */
function drive(of: EngineModel, arrivals: readonly Arrival[], eachToken: boolean) {
  const instance = createModelledInstance(of, { eachToken })
  const acts: { atMs: number; act: () => void }[] = []
  let atMs = 0
  arrivals.forEach(({ gapMs, cancelAfterMs, ...arrival }, id) => {
    atMs += gapMs
    const submitMs = atMs
    const asked = request(id, arrival.promptTokens, arrival.outputTokens, arrival.family)
    acts.push({ atMs, act: () => instance.submit(asked, submitMs) })
    if (cancelAfterMs === null) return
    const cancelMs = atMs + cancelAfterMs
    acts.push({ atMs: cancelMs, act: () => instance.cancel(id, cancelMs) })
  })
  const events: ModelledEvent[] = []
  for (const { atMs, act } of acts.sort((a, b) => a.atMs - b.atMs)) {
    while (instance.nextMs() <= atMs) events.push(...instance.advance(instance.nextMs()))
    act()
  }
  events.push(...runAll(instance))
  const families = [0, 1, 2, 3, 4].map((family) => instance.cachedBlocks(chain(family, 100)))
  const left = { families, kv: instance.kvUse(), running: instance.running(), waiting: instance.waiting() }
  return { events: events.filter(({ type }) => type !== 'tokens' && type !== 'prefilled'), left }
}
