import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../core/index.ts'
import type { InferenceEvent } from '../../inference/index.ts'
import { type RepeatableRequest, requestKey } from './request-key.ts'
import { createResponseCache } from './response-cache.ts'

const usage = { promptTokens: 9, cachedTokens: 4, outputTokens: 2, promptMs: 12, outputMs: 30 }
const done: InferenceEvent = { type: 'done', reason: 'stop', usage, totalMs: 50, loadMs: 5 }
const token = (text: string): InferenceEvent => ({ type: 'token', text })

function setUp(maxBytes = 100_000) {
  const time = { nowMs: 0 }
  const clock: Clock = {
    now: () => time.nowMs,
    monotonicMs: () => time.nowMs,
    sleep: () => Promise.reject(new Error('nothing here sleeps')),
    after: () => () => undefined,
  }
  return { time, cache: createResponseCache({ maxBytes, ttlMs: 1000, clock }) }
}

async function* answer(...events: (InferenceEvent | Error)[]): AsyncGenerator<InferenceEvent> {
  for (const event of events) {
    if (event instanceof Error) throw event
    yield event
  }
}

async function readAll(events: AsyncIterable<InferenceEvent>): Promise<InferenceEvent[]> {
  const all: InferenceEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

describe('the response cache', () => {
  it('gives a whole answer again: its tokens as they were, all of the prompt cached, and no time spent', async () => {
    const { cache } = setUp()
    expect(await readAll(cache.record('k', answer(token('a'), token('b'), done)))).toEqual([
      token('a'),
      token('b'),
      done,
    ])
    const again = { ...usage, cachedTokens: 9, promptMs: 0, outputMs: 0 }
    const last = { type: 'done', reason: 'stop', usage: again, totalMs: 0, loadMs: 0 }
    expect(cache.find('k')).toEqual([token('a'), token('b'), last])
    expect([cache.find('other'), cache.stats()]).toMatchObject([
      undefined,
      { answers: 1, hits: 1, misses: 1 },
    ])
  })

  it('keeps an answer whose reader stops at its last event', async () => {
    const { cache } = setUp()
    for await (const event of cache.record('k', answer(token('a'), done))) if (event.type === 'done') break
    expect(cache.find('k')).toHaveLength(2)
  })

  it('keeps nothing of an answer that broke or was abandoned', async () => {
    const { cache } = setUp()
    await expect(readAll(cache.record('k', answer(token('a'), new Error('broke'))))).rejects.toThrow('broke')
    for await (const _ of cache.record('k', answer(token('a'), token('b'), done))) break
    expect([cache.find('k'), cache.stats().bytes]).toEqual([undefined, 0])
  })

  it('forgets after its time', async () => {
    const { cache, time } = setUp()
    await readAll(cache.record('k', answer(done)))
    time.nowMs = 999
    expect(cache.find('k')).toHaveLength(1)
    time.nowMs = 1000
    expect([cache.find('k'), cache.stats().bytes]).toEqual([undefined, 0])
  })

  it('holds no more than its bytes, and lets go what was used longest ago', async () => {
    const { cache } = setUp(2000)
    const keep = (key: string, text: string) => readAll(cache.record(key, answer(token(text), done)))
    for (const key of ['a', 'b', 'c', 'd']) await keep(key, 'x')
    cache.find('a')
    for (const key of ['e', 'f']) await keep(key, 'x')
    expect(['a', 'b'].map((key) => cache.find(key) !== undefined)).toEqual([false, false])
    await keep('large', 'x'.repeat(1000))
    expect(cache.find('large')).toBeUndefined()
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(9), fc.nat(200))), async (puts) => {
        const { cache } = setUp(8000)
        for (const [key, length] of puts) {
          await readAll(cache.record(`${key}`, answer(token('x'.repeat(length)), done)))
          expect(cache.stats().bytes).toBeLessThanOrEqual(8000)
        }
        expect(cache.stats().answers).toBeLessThanOrEqual(new Set(puts.map(([key]) => key)).size)
      }),
      { numRuns: 50 },
    )
  })
})

describe('the key of a request', () => {
  const request: RepeatableRequest = {
    tenant: 'default',
    modelKey: '/models/a',
    modelDigest: 'd1',
    prompt: 'hello',
    options: { temperature: 0, num_predict: 5 },
    more: { kind: 'chat', raw: undefined },
  }
  const schema = { type: 'object', properties: { a: {}, b: {} } }

  it('is there only where the answer is always the same', () => {
    expect(requestKey({ ...request, options: { temperature: 0.8 } })).toBeUndefined()
    expect(requestKey({ ...request, options: { temperature: 0.8, seed: -1 } })).toBeUndefined()
    expect(requestKey({ ...request, options: {} })).toBeUndefined()
    expect(requestKey({ ...request, options: { temperature: 0.8, seed: 1 } })).toBeDefined()
  })

  it('is the same whatever order options are in, and at temperature 0 whatever the seed', () => {
    const key = requestKey(request)
    expect(requestKey({ ...request, options: { num_predict: 5, temperature: 0 } })).toBe(key)
    expect(requestKey({ ...request, options: { ...request.options, seed: 7 } })).toBe(key)
  })

  it('is another where anything is that shapes the answer, or where the tenant is', () => {
    const others: Partial<RepeatableRequest>[] = [
      { tenant: 'other' },
      { modelKey: '/models/b' },
      { modelDigest: 'd2' },
      { prompt: 'hello ' },
      { images: [Uint8Array.of(1)] },
      { images: [Uint8Array.of(1), Uint8Array.of(2)] },
      { images: [Uint8Array.of(1, 2)] },
      { options: { temperature: 0, num_predict: 6 } },
      { options: { temperature: 0, num_predict: 5, stop: ['x'] } },
      { options: { temperature: 0.5, seed: 1, num_predict: 5 } },
      { options: { temperature: 0.5, seed: 2, num_predict: 5 } },
      { format: 'json' },
      { format: schema },
      { format: { ...schema, properties: { b: {}, a: {} } } },
      { think: true },
      { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }] },
      { more: { kind: 'generate' } },
    ]
    const keys = [request, ...others.map((other) => ({ ...request, ...other }))].map(requestKey)
    expect(new Set(keys).size).toBe(keys.length)
  })
})
