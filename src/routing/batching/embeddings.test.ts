import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../core/index.ts'
import { DroverError } from '../../inference/index.ts'
import {
  createEmbedBatcher,
  type EmbedAnswer,
  type EmbedBatcher,
  type EmbedInput,
  type EmbedTarget,
  embedOver,
  shareOut,
} from './embeddings.ts'

/** Time that passes when the test says so. */
function handClock(): Clock & { advance(ms: number): Promise<void> } {
  let nowMs = 0
  const timers = new Set<{ atMs: number; action: () => void }>()
  return {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: () => Promise.reject(new Error('nothing here sleeps')),
    after(delayMs, action) {
      const timer = { atMs: nowMs + delayMs, action }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    async advance(ms) {
      nowMs += ms
      for (const timer of [...timers]) {
        if (timer.atMs > nowMs) continue
        timers.delete(timer)
        timer.action()
      }
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

const lengthOf = (input: EmbedInput) => input.length
const vectorOf = (input: EmbedInput) => Float32Array.of(lengthOf(input), Number(input.slice(0, 1)) || 0)

/** An engine that tokenizes by letters and writes down what it was asked. */
function letters(options: { refuses?: string; trouble?: Error } = {}) {
  const asked: string[][] = []
  const signals: AbortSignal[] = []
  let gate: Promise<void> = Promise.resolve()
  const target: EmbedTarget = {
    async embed(inputs, signal): Promise<EmbedAnswer> {
      asked.push(inputs.map(String))
      signals.push(signal)
      await gate
      signal.throwIfAborted()
      if (options.trouble) throw options.trouble
      if (inputs.some((input) => input === options.refuses)) {
        throw new DroverError('context_exceeded', 'the input length exceeds the context length')
      }
      const promptTokens = inputs.reduce((sum, input) => sum + lengthOf(input), 0)
      return { embeddings: inputs.map(vectorOf), promptTokens }
    },
    tokenize: async (text) => [...text].map((letter) => letter.charCodeAt(0)),
  }
  const holdUntil = (promise: Promise<void>) => {
    gate = promise
  }
  return { target, asked, signals, holdUntil }
}

const never = () => new AbortController().signal
/** Has the engine busy with `0`, so that others have to wait, until the returned function is called. */
function occupy(
  batcher: EmbedBatcher,
  { target, holdUntil }: ReturnType<typeof letters>,
): () => Promise<void> {
  const held = Promise.withResolvers<void>()
  holdUntil(held.promise)
  const first = batcher.embed(target, ['0'], never())
  holdUntil(Promise.resolve())
  return async () => {
    held.resolve()
    await Promise.allSettled([first])
  }
}

const setUp = (more: { windowMs?: number; maxBatchSize?: number } = {}) => {
  const clock = handClock()
  return { clock, batcher: createEmbedBatcher({ windowMs: 5, maxBatchSize: 8, clock, ...more }) }
}

describe('embeddings asked for within a few milliseconds of a busy instance', () => {
  it('go to the engine as one call, and each caller has its own vectors and tokens', async () => {
    const { clock, batcher } = setUp()
    const engine = letters()
    occupy(batcher, engine)
    const first = batcher.embed(engine.target, ['a', 'bb'], never())
    const second = batcher.embed(engine.target, ['ccc'], never())
    await clock.advance(5)
    expect(engine.asked).toEqual([['0'], ['a', 'bb', 'ccc']])
    expect(await first).toEqual({ embeddings: ['a', 'bb'].map(vectorOf), promptTokens: 3 })
    expect(await second).toEqual({ embeddings: [vectorOf('ccc')], promptTokens: 3 })
  })

  it('go at once where the instance is idle, or becomes it', async () => {
    const { batcher } = setUp()
    const engine = letters()
    const finish = occupy(batcher, engine)
    expect(engine.asked).toEqual([['0']])
    const others = [
      batcher.embed(engine.target, ['a'], never()),
      batcher.embed(engine.target, ['b'], never()),
    ]
    expect(engine.asked).toHaveLength(1)
    await finish()
    await Promise.all(others)
    expect(engine.asked).toEqual([['0'], ['a', 'b']])
  })

  it('wait no longer than the window, and not at all once there are enough', async () => {
    const { clock, batcher } = setUp({ maxBatchSize: 3 })
    const engine = letters()
    occupy(batcher, engine)
    void batcher.embed(engine.target, ['a'], never())
    void batcher.embed(engine.target, ['b', 'c'], never())
    expect(engine.asked.slice(1)).toEqual([['a', 'b', 'c']])
    void batcher.embed(engine.target, ['d'], never())
    void batcher.embed(engine.target, ['e', 'f', 'g', 'h'], never())
    expect(engine.asked.slice(2)).toEqual([['e', 'f', 'g', 'h']])
    await clock.advance(5)
    expect(engine.asked.slice(3)).toEqual([['d']])
  })

  it('never exceed the largest batch', async () => {
    const { batcher } = setUp({ maxBatchSize: 3 })
    const engine = letters()
    occupy(batcher, engine)
    void batcher.embed(engine.target, ['a', 'b'], never())
    void batcher.embed(engine.target, ['c', 'd'], never())
    expect(engine.asked.slice(1)).toEqual([['a', 'b']])
  })

  it('are sent at once where there is no window', async () => {
    const { batcher } = setUp({ windowMs: 0 })
    const { target, asked } = letters()
    await Promise.all([batcher.embed(target, ['a'], never()), batcher.embed(target, ['b'], never())])
    expect(asked).toEqual([['a'], ['b']])
  })

  it('stay apart by instance', async () => {
    const { clock, batcher } = setUp()
    const engines = [letters(), letters()]
    for (const engine of engines) occupy(batcher, engine)
    for (const [index, { target }] of engines.entries()) void batcher.embed(target, [`${index}`], never())
    await clock.advance(5)
    expect(engines.map(({ asked }) => asked)).toEqual([
      [['0'], ['0']],
      [['0'], ['1']],
    ])
  })

  it('of a caller that leaves before they are sent are not sent', async () => {
    const { clock, batcher } = setUp()
    const engine = letters()
    occupy(batcher, engine)
    const leaver = new AbortController()
    const left = batcher.embed(engine.target, ['a'], leaver.signal)
    const stays = batcher.embed(engine.target, ['b'], never())
    leaver.abort(new DroverError('cancelled', 'gone'))
    await expect(left).rejects.toThrow('gone')
    await clock.advance(5)
    expect([engine.asked.slice(1), (await stays).promptTokens]).toEqual([[['b']], 1])
  })

  it('of a caller that leaves later do not disturb the others, and stop with the last', async () => {
    const { clock, batcher } = setUp()
    const engine = letters()
    occupy(batcher, engine)
    const held = Promise.withResolvers<void>()
    engine.holdUntil(held.promise)
    const callers = [new AbortController(), new AbortController()]
    const answers = callers.map(({ signal }, index) => batcher.embed(engine.target, [`${index}`], signal))
    const outcomes = Promise.allSettled(answers)
    await clock.advance(5)
    callers[0]?.abort(new DroverError('cancelled', 'first'))
    expect(engine.signals[1]?.aborted).toBe(false)
    callers[1]?.abort(new DroverError('cancelled', 'second'))
    expect(engine.signals[1]?.aborted).toBe(true)
    held.resolve()
    expect(await outcomes).toMatchObject([
      { reason: { message: 'first' } },
      { reason: { message: 'second' } },
    ])
  })

  it('are refused only to the caller whose input is bad', async () => {
    const { clock, batcher } = setUp()
    const engine = letters({ refuses: 'bad' })
    occupy(batcher, engine)
    const answers = Promise.allSettled(
      [['a'], ['bad'], ['cc']].map((inputs) => batcher.embed(engine.target, inputs, never())),
    )
    await clock.advance(5)
    expect(await answers).toMatchObject([
      { value: { promptTokens: 1 } },
      { reason: { code: 'context_exceeded' } },
      { value: { promptTokens: 2 } },
    ])
  })

  it('fail together when the engine dies, and do not ask it again', async () => {
    const { clock, batcher } = setUp()
    const engine = letters({ trouble: new DroverError('engine_crashed', 'it died') })
    occupy(batcher, engine)
    const answers = Promise.allSettled(
      [['a'], ['b']].map((inputs) => batcher.embed(engine.target, inputs, never())),
    )
    await clock.advance(5)
    expect(await answers).toMatchObject([
      { reason: { code: 'engine_crashed' } },
      { reason: { code: 'engine_crashed' } },
    ])
    expect(engine.asked).toHaveLength(2)
  })

  it('reach their callers whatever comes together with what', async () => {
    const call = fc.record({
      inputs: fc.array(fc.constantFrom('1', '22', '333', 'bad'), { minLength: 1, maxLength: 4 }),
      pauseMs: fc.nat(6),
      leavesAfterMs: fc.option(fc.nat(8)),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(call, { maxLength: 12 }),
        fc.integer({ min: 1, max: 6 }),
        async (calls, most) => {
          const { clock, batcher } = setUp({ maxBatchSize: most })
          const { target, asked, holdUntil } = letters({ refuses: 'bad' })
          const answers = []
          for (const { inputs, pauseMs, leavesAfterMs } of calls) {
            const leaver = new AbortController()
            if (leavesAfterMs !== null) clock.after(leavesAfterMs, () => leaver.abort(new Error('left')))
            holdUntil(new Promise((resolve) => void clock.after(3, resolve)))
            answers.push(Promise.allSettled([batcher.embed(target, inputs, leaver.signal)]))
            await clock.advance(pauseMs)
          }
          const outcomes = Promise.all(answers)
          for (let step = 0; step < 10; step++) await clock.advance(5)
          for (const [index, [outcome]] of (await outcomes).entries()) {
            const { inputs = [], leavesAfterMs } = calls[index] ?? {}
            if (outcome.status === 'fulfilled') {
              const promptTokens = inputs.join('').length
              expect(outcome.value).toEqual({ embeddings: inputs.map(vectorOf), promptTokens })
            } else expect(inputs.includes('bad') || leavesAfterMs !== null).toBe(true)
          }
          for (const inputs of asked) expect(inputs.length).toBeLessThanOrEqual(Math.max(most, 4))
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('tokens shared out', () => {
  it('add up to the total, and are the counts where these do', () => {
    expect(shareOut(6, [1, 2, 3])).toEqual([1, 2, 3])
    expect(shareOut(4, [0, 0])).toEqual([2, 2])
    fc.assert(
      fc.property(fc.nat(10_000), fc.array(fc.nat(500), { minLength: 1 }), (total, weights) => {
        const parts = shareOut(total, weights)
        expect(parts.every((part) => part >= 0)).toBe(true)
        expect(parts.reduce((sum, part) => sum + part, 0)).toBe(total)
      }),
    )
  })
})

describe('many inputs over several instances', () => {
  const inputs = Array.from({ length: 23 }, (_, index) => `${index % 7}`.repeat(1 + (index % 3)))

  it('come back in their order, whoever did them', async () => {
    const slow = letters()
    slow.holdUntil(new Promise((resolve) => setTimeout(resolve, 20)))
    const fast = letters()
    const answer = await embedOver([slow.target, fast.target], inputs, never(), { chunkSize: 4 })
    expect(answer).toEqual({ embeddings: inputs.map(vectorOf), promptTokens: inputs.join('').length })
    expect([slow.asked.length, fast.asked.length]).toEqual([1, 5])
  })

  it('survive the death of an engine, even of the last one to work', async () => {
    const dying = letters({ trouble: new DroverError('engine_crashed', 'it died') })
    dying.holdUntil(new Promise((resolve) => setTimeout(resolve, 20)))
    const answer = await embedOver([dying.target, letters().target], inputs, never(), { chunkSize: 4 })
    expect(answer.embeddings).toEqual(inputs.map(vectorOf))
    const alone = embedOver([dying.target], inputs, never(), { chunkSize: 4 })
    await expect(alone).rejects.toThrow('it died')
  })

  it('are given up at the first refusal, and when the caller leaves', async () => {
    const refusing = letters({ refuses: '00' })
    const other = letters()
    const refused = embedOver([refusing.target, other.target], ['00', ...inputs], never(), { chunkSize: 1 })
    await expect(refused).rejects.toMatchObject({ code: 'context_exceeded' })
    expect(other.asked.length).toBeLessThan(5)
    const leaver = new AbortController()
    const left = embedOver([other.target], inputs, leaver.signal, { chunkSize: 1 })
    leaver.abort(new DroverError('cancelled', 'gone'))
    await expect(left).rejects.toThrow('gone')
  })
})
