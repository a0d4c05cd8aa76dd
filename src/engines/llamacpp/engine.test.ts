import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Pool } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  answerOf,
  atTemperature,
  type LlamaBench,
  longAnswer,
  never,
  openLlamaBench,
  request,
} from '../../../test/support/llama-bench.ts'
import type { CompletionRequest, EngineEvent, EngineInstance } from '../contract.ts'

let bench: LlamaBench
let instance: EngineInstance

beforeAll(async () => {
  bench = await openLlamaBench()
  instance = await bench.engineIn('run').launch(bench.spec(), never)
}, 300_000)
afterAll(async () => {
  await instance?.close()
  await bench?.remove()
})

const answer = (changes: Partial<CompletionRequest> = {}, signal = never) =>
  answerOf(instance, changes, signal)

describe('an answer of llama-server', () => {
  it('tells the progress of the prompt, the tokens, and what they cost', async () => {
    const { events, done, tokens } = await answer({ prompt: `${'grass '.repeat(40)}once` })
    expect(events[0]).toMatchObject({ type: 'progress', processedTokens: 0 })
    expect(events.filter((event) => event.type === 'done')).toHaveLength(1)
    expect(done).toMatchObject({ reason: 'length', usage: { outputTokens: 24 } })
    expect(done.usage.promptTokens).toBeGreaterThan(40)
    expect(done.usage.promptMs).toBeGreaterThan(0)
    expect(done.usage.outputMs).toBeGreaterThan(0)
    expect(tokens.length).toBeGreaterThan(0)
    const again = await answer({ prompt: `${'grass '.repeat(40)}once` })
    expect(again.done.usage.cachedTokens).toBeGreaterThan(40)
  })

  it('to tokens is the answer to their text, with one BOS where the model has one', async () => {
    const tokens = await instance.tokenize('the sheep', { addSpecial: true })
    const plain = await answer()
    const fromTokens = await answer({ prompt: tokens })
    expect(fromTokens.text).toBe(plain.text)
    const withBos = await answer({ prompt: await instance.detokenize(tokens) })
    expect(withBos.done.usage.promptTokens).toBe(plain.done.usage.promptTokens)
    expect(withBos.text).toBe(plain.text)
  })

  it('never splits a character, and gives the tokens of those that take several', async () => {
    const wanted = 'žlutý 日本語 🐑👩‍👩‍👧 ∑'
    const { events, text, tokens, done } = await answer({ maxTokens: 200, format: { const: wanted } })
    expect(JSON.parse(text)).toBe(wanted)
    for (const event of events) if (event.type === 'token') expect(event.text).not.toContain('\uFFFD')
    expect(done.reason).toBe('stop')
    expect(await instance.detokenize(tokens)).toBe(text)
  })

  it('ends before a stop string wherever it begins, without a part of it', async () => {
    const whole = JSON.stringify({ animal: 'sheep', sound: 'baa' })
    const format = { const: { animal: 'sheep', sound: 'baa' } }
    for (const stop of ['"sheep"', 'ee', 'p","s', 'baa"}']) {
      const { text, done } = await answer({ maxTokens: 100, format, stop: ['never', stop] })
      expect(text).toBe(whole.slice(0, whole.indexOf(stop)))
      expect(done).toMatchObject({ reason: 'stop', stopSequence: stop })
    }
    const kept = await answer({ maxTokens: 100, format, stop: ['sheepdog', 'baaa'] })
    expect(kept.text).toBe(whole)
    expect(kept.done.stopSequence).toBeUndefined()
  })

  it('keeps text that looked like a stop string when the token limit ends it', async () => {
    const free = await answer({ maxTokens: 6 })
    const ending = free.text.slice(-2)
    const held = await answer({ maxTokens: 6, stop: [`${ending}and more`] })
    expect(held.text).toBe(free.text)
    expect(held.done.reason).toBe('length')
  })

  it('carries the logarithms of probabilities, with as many alternatives as asked', async () => {
    const none = await answer({ maxTokens: 4, topLogprobs: 0 })
    const three = await answer({ maxTokens: 4, topLogprobs: 3 })
    const logprobs = (events: EngineEvent[]) =>
      events.flatMap((event) => (event.type === 'token' ? (event.logprobs ?? []) : []))
    expect(logprobs(none.events).length).toBeGreaterThan(0)
    for (const entry of logprobs(none.events)) {
      expect(entry.logprob).toBeLessThanOrEqual(0)
      expect(entry.top_logprobs).toBeUndefined()
    }
    for (const { top_logprobs = [], ...sampled } of logprobs(three.events)) {
      expect(top_logprobs).toHaveLength(3)
      expect(top_logprobs[0]).toEqual(sampled)
      expect(top_logprobs.map(({ logprob }) => logprob)).toEqual(
        top_logprobs.map(({ logprob }) => logprob).sort((a, b) => b - a),
      )
    }
  })

  it('repeats with its seed, and differs with another', async () => {
    const first = await answer({ sampling: atTemperature(1.5, 11) })
    expect((await answer({ sampling: atTemperature(1.5, 11) })).text).toBe(first.text)
    expect((await answer({ sampling: atTemperature(1.5, 12) })).text).not.toBe(first.text)
  })

  it('is a JSON object when JSON is asked for', async () => {
    const { text } = await answer({ format: 'json', maxTokens: 4 })
    expect(text.trimStart()[0]).toBe('{')
  })

  it('is refused by name when the prompt is too long or the schema is none', async () => {
    await expect(answer({ prompt: 'grass '.repeat(600) })).rejects.toMatchObject({
      code: 'context_exceeded',
      message: expect.stringMatching(/^the prompt is longer than the context length currently available/),
    })
    await expect(answer({ format: { type: 'nonsense' } })).rejects.toMatchObject({ code: 'invalid_format' })
    await expect(instance.embed(['x'], never)).rejects.toMatchObject({
      code: 'not_embedding_model',
      message: 'This server does not support embeddings. Start it with `--embeddings`',
    })
    expect(instance.load()).toEqual({ running: 0, waiting: 0 })
  })
})

describe('many requests', () => {
  it('of which 64 come at once to 4 slots wait their turn, and all are answered', async () => {
    const answers = Array.from({ length: 64 }, (_, index) => answer({ prompt: `sheep ${index}` }))
    expect(instance.load()).toEqual({ running: 4, waiting: 60 })
    const outputTokens = (await Promise.all(answers)).map(({ done }) => done.usage.outputTokens)
    expect(Math.min(...outputTokens)).toBeGreaterThan(0)
    expect(Math.max(...outputTokens)).toBe(24)
    expect(instance.load()).toEqual({ running: 0, waiting: 0 })
  })

  it('do not wait for one that is read slowly, and that one misses nothing', async () => {
    const slow = instance.generate(request({ ...longAnswer, maxTokens: 400 }), never)[Symbol.asyncIterator]()
    await slow.next()
    await answer({ prompt: 'quick' })
    await sleep(300)
    let output = 0
    for (let item = await slow.next(); !item.done; item = await slow.next()) {
      if (item.value.type === 'done') output = item.value.usage.outputTokens
    }
    expect(output).toBe(400)
  })
})

describe('an aborted request', () => {
  it('ends within a token, with the reason, and leaves its slot free', async () => {
    const control = new AbortController()
    let seen = 0
    const reading = async () => {
      for await (const event of instance.generate(request({ maxTokens: 100_000 }), control.signal)) {
        if (event.type === 'token' && ++seen === 5) control.abort(new Error('enough'))
      }
    }
    await expect(reading()).rejects.toThrow('enough')
    expect(seen).toBe(5)
    expect(instance.load()).toEqual({ running: 0, waiting: 0 })
    expect(await busySlots()).toBe(0)
  })

  it('leaves its slot free too when its reader just stops', async () => {
    for await (const event of instance.generate(request({ maxTokens: 100_000 }), never)) {
      if (event.type === 'token') break
    }
    expect(instance.load()).toEqual({ running: 0, waiting: 0 })
    expect(await busySlots()).toBe(0)
  })

  it('does nothing when it was aborted before, or while it waits', async () => {
    await expect(answer({}, AbortSignal.abort(new Error('before')))).rejects.toThrow('before')
    const running = [1, 2, 3, 4].map(() => answer({ maxTokens: 200 }))
    const control = new AbortController()
    const waiting = answer({}, control.signal)
    control.abort(new Error('while waiting'))
    await expect(waiting).rejects.toThrow('while waiting')
    await Promise.all(running)
  })

  /** What the server itself says, asked beside Drover's own connection. */
  async function busySlots(): Promise<number> {
    const key = await keyOf(instance.pid)
    const [run] = await readdir(join(bench.folder, 'run'))
    const pool = new Pool('http://localhost', {
      socketPath: join(bench.folder, 'run', run ?? '', 'engine.sock'),
    })
    try {
      const { body } = await pool.request({
        method: 'GET',
        path: '/slots',
        headers: { authorization: `Bearer ${key}` },
      })
      return ((await body.json()) as { is_processing: boolean }[]).filter((slot) => slot.is_processing).length
    } finally {
      await pool.close()
    }
  }
})
describe('an instance', () => {
  it('has the context, slots and memory that the engine reports, and its key in no argument', async () => {
    expect(instance).toMatchObject({ engine: 'llama.cpp', slots: 4, contextLength: 512 })
    expect(instance.memory.hostBytes).toBeGreaterThan(100_000)
    const key = await keyOf(instance.pid)
    expect(key).toHaveLength(64)
    expect(await psOutput('-ww', '-o', 'args=', '-p', String(instance.pid))).not.toContain(key)
  })
})

/** The instance's secret, from its environment: which only its own user and root can read. */
async function keyOf(pid: number): Promise<string> {
  const environment = await psOutput('eww', '-p', String(pid), '-o', 'command=')
  return /LLAMA_API_KEY=(\w+)/.exec(environment)?.[1] ?? ''
}

async function psOutput(...args: string[]): Promise<string> {
  return (await promisify(execFile)('ps', args)).stdout
}
