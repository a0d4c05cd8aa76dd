import { describe, expect, it } from 'vitest'
import { createModel, type Work } from './model.ts'
import { type MockEngineOptions, settingsOf } from './options.ts'
import type { Progress } from './run.ts'
import { createCounters } from './stats.ts'
import { type ManualClock, manualClock } from './testing.ts'
import { tokenize } from './tokenizer.ts'

const engine = {
  prefillTokensPerS: 1_000,
  decodeBaseMs: 10,
  decodePerRequestMs: 0,
  chunkTokens: 100,
  slots: 2,
  blockTokens: 10,
  loadMs: 0,
}

function setUp(options: MockEngineOptions = {}) {
  const clock = manualClock()
  const settings = settingsOf({ ...options, clock, engine: { ...engine, ...options.engine } })
  const counters = createCounters()
  return { clock, counters, model: createModel('mock', settings, counters) }
}

const never = new AbortController().signal
const words = (count: number, word = 'river') => tokenize(` ${word}`.repeat(count))

/** Follows a run: when each token was out, and how it stands. */
function follow(clock: ManualClock, run: AsyncIterable<Progress>) {
  const times: number[] = []
  const state: { last?: Progress; error?: unknown; doneMs?: number } = {}
  const ended = (async () => {
    try {
      for await (const progress of run) {
        while (times.length < progress.produced) times.push(clock.monotonicMs())
        state.last = { ...progress }
        if (progress.done) state.doneMs = clock.monotonicMs()
      }
    } catch (error) {
      state.error = error
    }
  })()
  return { times, state, ended }
}

const ask = (changes: Partial<Work> = {}): Work => ({
  prompt: words(50),
  maxTokens: 4,
  ignoreEos: true,
  ...changes,
})

describe('a model of the mock engine', () => {
  it('takes the time of its prompt, then of each token', async () => {
    const { clock, model } = setUp()
    const { times, state } = follow(clock, model.run(ask(), never))
    await clock.pass(1_000)
    expect(times).toEqual([50, 60, 70, 80])
    expect(state.last).toMatchObject({
      done: true,
      promptMs: 50,
      outputMs: 30,
      cachedTokens: 0,
      promptTokens: 50,
    })
  })

  it('finds what two prompts have in common in its cache, an earlier answer too', async () => {
    const { clock, model, counters } = setUp()
    const first = follow(clock, model.run(ask({ maxTokens: 20 }), never))
    await clock.pass(1_000)
    const answered = first.state.last?.answer.tokens ?? []
    const next = follow(clock, model.run(ask({ prompt: [...words(50), ...answered, ...words(5)] }), never))
    const other = follow(clock, model.run(ask({ prompt: words(50, 'wind') }), never))
    const uncached = follow(clock, model.run(ask({ cachePrompt: false }), never))
    await clock.pass(1_000)
    expect(next.state.last?.cachedTokens).toBe(70)
    expect(other.state.last?.cachedTokens).toBe(0)
    expect(uncached.state.last?.cachedTokens).toBe(0)
    expect(counters).toMatchObject({ promptTokens: 225, cachedTokens: 70, outputTokens: 32 })
  })

  it('runs as many at once as it has slots, and each in a slot of its own', async () => {
    const { clock, model } = setUp()
    const three = [0, 1, 2].map((index) =>
      follow(clock, model.run(ask({ prompt: words(50 + index) }), never)),
    )
    await clock.pass(20)
    expect([model.running(), model.waiting()]).toEqual([2, 1])
    expect(model.slots.map(({ task }) => task !== undefined)).toEqual([true, true])
    await clock.pass(1_000)
    const [a, b, c] = three.map(({ state }) => state)
    expect(new Set([a?.last?.slot, b?.last?.slot]).size).toBe(2)
    expect(c?.doneMs).toBeGreaterThan(a?.doneMs ?? 0)
    expect([model.running(), model.waiting()]).toEqual([0, 0])
  })

  it('lets a request go at once whose client has gone, running or waiting', async () => {
    const { clock, model, counters } = setUp({ engine: { slots: 1 } })
    const [running, waiting] = [new AbortController(), new AbortController()]
    const first = follow(clock, model.run(ask({ maxTokens: 1_000 }), running.signal))
    const second = follow(clock, model.run(ask({ prompt: words(30, 'wind') }), waiting.signal))
    await clock.pass(100)
    waiting.abort(new Error('gone'))
    running.abort(new Error('gone'))
    await Promise.all([first.ended, second.ended])
    expect([model.running(), model.waiting()]).toEqual([0, 0])
    expect([first.state.error, second.state.error]).toEqual([new Error('gone'), new Error('gone')])
    expect(model.slots.map(({ task }) => task)).toEqual([undefined])
    const produced = counters.outputTokens
    expect(produced).toBe(6)
    await clock.pass(1_000)
    expect(counters.outputTokens).toBe(produced)
    // What it had computed is still there.
    const again = follow(clock, model.run(ask(), never))
    await clock.pass(1_000)
    expect(again.state.last?.cachedTokens).toBe(40)
  })

  it('lets a request go whose reader stops reading', async () => {
    const { clock, model } = setUp()
    const run = model.run(ask({ maxTokens: 1_000 }), never)
    const reading = (async () => {
      for await (const { produced } of run) if (produced > 1) return
    })()
    await clock.pass(200)
    await reading
    expect(model.running()).toBe(0)
  })

  it('tells how far the prompt is', async () => {
    const { clock, model } = setUp()
    const steps: number[] = []
    const reading = (async () => {
      for await (const { processedTokens, produced } of model.run(ask({ prompt: words(250) }), never)) {
        if (produced === 0) steps.push(processedTokens)
      }
    })()
    await clock.pass(1_000)
    await reading
    expect(steps).toEqual([0, 100, 200])
  })

  it('is slower and faster while its rate is so', async () => {
    const { clock, model } = setUp()
    const { times } = follow(clock, model.run(ask({ maxTokens: 8 }), never))
    await clock.pass(60)
    model.setRate(0.1)
    await clock.pass(200)
    model.setRate(10)
    await clock.pass(4)
    expect(times).toEqual([50, 60, 160, 260, 261, 262, 263, 264])
  })

  it('loads before its first request, stays as long as it is told to, and forgets its cache when it goes', async () => {
    const { clock, model } = setUp({ engine: { loadMs: 500 } })
    expect(model.isLoaded()).toBe(false)
    const first = follow(clock, model.run(ask(), never))
    await clock.pass(499)
    expect([model.isLoaded(), first.state.last]).toEqual([false, undefined])
    await clock.pass(100)
    expect(first.times).toEqual([550, 560, 570, 580])
    model.keep(1_000)
    await clock.pass(999)
    expect([model.isLoaded(), model.expiresInMs()]).toEqual([true, 1])
    await clock.pass(1)
    expect(model.isLoaded()).toBe(false)
    expect(model.kvUse().tokens).toBe(0)
    const again = follow(clock, model.run(ask(), never))
    await clock.pass(1_000)
    expect(again.state.last?.cachedTokens).toBe(0)
  })

  it('is not let go while it works', async () => {
    const { clock, model } = setUp()
    const { state } = follow(clock, model.run(ask({ maxTokens: 100 }), never))
    await clock.pass(100)
    model.keep(0)
    expect(model.isLoaded()).toBe(true)
    await clock.pass(2_000)
    expect(state.last?.done).toBe(true)
    expect(model.isLoaded()).toBe(false)
  })

  it('takes over the cache of a saved slot, and forgets that of an erased one', async () => {
    const { clock, model } = setUp()
    const [slot, other] = model.slots
    if (!slot || !other) throw new Error('there are two slots')
    expect(model.restoreSlot(slot, words(48))).toBe(true)
    const first = follow(clock, model.run(ask({ slot: 1 }), never))
    await clock.pass(20)
    expect([model.restoreSlot(other, []), model.eraseSlot(other)]).toEqual([false, false])
    await clock.pass(1_000)
    expect(first.state.last).toMatchObject({ cachedTokens: 40, slot: 1 })
    expect(model.eraseSlot(other)).toBe(true)
    const again = follow(clock, model.run(ask(), never))
    await clock.pass(1_000)
    expect(again.state.last?.cachedTokens).toBe(0)
  })

  it('refuses a prompt that leaves no room for an answer, and ends an answer where the context does', async () => {
    const { clock, model } = setUp({ contextTokens: 60 })
    const refused = follow(clock, model.run(ask({ prompt: words(60) }), never))
    const cut = follow(clock, model.run(ask({ maxTokens: undefined }), never))
    await clock.pass(1_000)
    expect(refused.state.error).toMatchObject({ status: 400, type: 'exceed_context_size_error' })
    expect(cut.state.last).toMatchObject({ produced: 10, answer: { ending: 'limit' } })
  })

  it('answers an empty prompt', async () => {
    const { clock, model } = setUp()
    const { state } = follow(clock, model.run(ask({ prompt: [] }), never))
    await clock.pass(1_000)
    expect(state.last).toMatchObject({ done: true, promptTokens: 0, produced: 4 })
  })
})

describe('options', () => {
  it.each([
    [{ engine: { slots: 0 } }, /slots: 0 will not do/],
    [{ engine: { prefillTokensPerS: Number.NaN } }, /prefill tokens per second: NaN/],
    [{ speed: -1 }, /speed: -1/],
    [{ engine: { decodeBaseMs: -1 } }, /decoding step: -1/],
    [{ engine: { kvTokens: 100 }, contextTokens: 200 }, /KV cache of 100 tokens holds no context of 200/],
  ])('that cannot be are refused: %j', (options, reason) => {
    expect(() => settingsOf(options)).toThrow(reason)
  })

  it('fit together by themselves', () => {
    expect(settingsOf({ engine: { slots: 3 } }).engine.kvTokens).toBe(3 * 8192)
    expect(settingsOf({ engine: { kvTokens: 1_000 } }).contextTokens).toBe(992)
    expect(settingsOf({ contextTokens: 100 }).engine.kvTokens).toBe(4 * 112)
  })
})
