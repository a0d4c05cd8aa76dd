import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type {
  CompletionRequest,
  Engine,
  EngineEvent,
  EngineInstance,
  InstanceSpec,
} from '../../src/engines/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { isAlive } from './drover.ts'
import { answerOf, atTemperature, never, request } from './llama-bench.ts'

/** How long an instance may take to notice a cancel, on a machine that other tests share. */
const noticeMs = 2_000

/** A question to the bundled model, in its own chat format. */
export const asked = (question: string) => `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`

export function specOf(modelPath: string, changes: Partial<InstanceSpec> = {}): InstanceSpec {
  return {
    id: 'contract',
    modelName: 'contract',
    modelPath,
    projectorPaths: [],
    adapterPaths: [],
    contextLength: 512,
    slots: 4,
    embedding: false,
    gpuLayers: 0,
    threads: 1,
    flashAttention: 'auto',
    kvCacheType: 'f16',
    contextShift: false,
    stallTimeoutMs: 30_000,
    ...changes,
  }
}

/**
 * What every engine has to do, checked on a real one. `modelPath` is a trained model, whose answers at
 * temperature 0 no rounding changes; what needs only tokens runs on random weights that never end an answer.
 */
export function engineContract(name: string, createEngine: () => Promise<Engine>, modelPath: string): void {
  describe(`${name} as an engine`, () => {
    let folder = ''
    let endlessPath = ''
    let engine: Engine
    let trained: EngineInstance
    let endless: EngineInstance
    const launch = (changes: Partial<InstanceSpec> = {}) => engine.launch(specOf(endlessPath, changes), never)
    const answer = (changes: Partial<CompletionRequest>) => answerOf(trained, changes)
    const ramble = (changes: Partial<CompletionRequest> = {}) => answerOf(endless, changes)
    const never4 = { running: 0, waiting: 0 }

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'drover-contract-'))
      endlessPath = join(folder, 'endless.gguf')
      await writeSyntheticGguf(endlessPath, { endless: true, layers: 2, seed: 3 })
      engine = await createEngine()
      trained = await engine.launch(specOf(modelPath), never)
      endless = await launch()
    }, 300_000)
    afterAll(async () => {
      await Promise.all([trained?.close(), endless?.close()])
      await rm(folder, { recursive: true, force: true })
    })

    describe('an answer', () => {
      it('at temperature 0 is the same for the same prompt, again and after others', async () => {
        const prompt = asked('What is the capital of France?')
        const first = await answer({ prompt, maxTokens: 60 })
        expect(first.text).toContain('Paris')
        expect(first.done.reason).toBe('stop')
        expect((await answer({ prompt, maxTokens: 60 })).text).toBe(first.text)
        const others = ['Germany', 'Italy', 'Spain', 'Poland'].map((country) =>
          answer({ prompt: asked(`What is the capital of ${country}?`), maxTokens: 60 }),
        )
        const beside = answer({ prompt, maxTokens: 60 })
        await Promise.all(others)
        expect((await beside).text).toBe(first.text)
        expect((await answer({ prompt, maxTokens: 60 })).text).toBe(first.text)
      })

      it('repeats with its seed, and differs with another', async () => {
        const withSeed = async (seed: number) => (await ramble({ sampling: atTemperature(1.5, seed) })).tokens
        const first = await withSeed(11)
        expect(await withSeed(11)).toEqual(first)
        expect(await withSeed(12)).not.toEqual(first)
        expect(await withSeed(-1)).not.toEqual(await withSeed(-1))
      })

      it('to tokens is the answer to their text', async () => {
        const prompt = asked('What is the capital of Spain?')
        const tokens = await trained.tokenize(prompt, { addSpecial: true })
        const plain = await answer({ prompt, maxTokens: 60 })
        expect((await answer({ prompt: tokens, maxTokens: 60 })).text).toBe(plain.text)
        expect(plain.done.usage.promptTokens).toBe(tokens.length)
      })

      it('obeys the samplers: penalties change it, and top_k 1 is temperature 0', async () => {
        const greedy = await ramble()
        const penalised = await ramble({
          sampling: { ...request().sampling, repeat_penalty: 1.8, repeat_last_n: -1 },
        })
        expect(penalised.tokens).not.toEqual(greedy.tokens)
        expect(new Set(penalised.tokens).size).toBe(penalised.tokens.length)
        const onlyBest = await ramble({ sampling: { ...atTemperature(1.5, 5), top_k: 1 } })
        expect(onlyBest.tokens).toEqual(greedy.tokens)
      })
    })

    describe('text', () => {
      const whole = JSON.stringify({ animal: 'sheep', sound: 'baa' })
      const format = { const: { animal: 'sheep', sound: 'baa' } }

      it('ends before a stop string wherever it begins, and no event shows a part of it', async () => {
        for (const stop of ['"sheep"', 'ee', 'p","s', 'baa"}']) {
          const { events, text, done } = await ramble({ maxTokens: 100, format, stop: ['never', stop] })
          expect(text).toBe(whole.slice(0, whole.indexOf(stop)))
          expect(done).toMatchObject({ reason: 'stop', stopSequence: stop })
          let shown = ''
          for (const event of events)
            if (event.type === 'token') expect(whole.startsWith((shown += event.text))).toBe(true)
        }
      })

      it('that only began like a stop string is not lost', async () => {
        const kept = await ramble({ maxTokens: 100, format, stop: ['sheepdog', 'baaa'] })
        expect(kept.text).toBe(whole)
        expect(kept.done.stopSequence).toBeUndefined()
        const cut = await ramble({ maxTokens: 6, format })
        const held = await ramble({ maxTokens: 6, format, stop: [`${cut.text.slice(-2)}and more`] })
        expect(held.text).toBe(cut.text)
        expect(held.done.reason).toBe('length')
      })

      it('never splits a character, and comes with the tokens it is made of', async () => {
        const wanted = 'žlutý 日本語 🐑👩‍👩‍👧 ∑'
        const { events, text, tokens, done } = await ramble({ maxTokens: 200, format: { const: wanted } })
        expect(JSON.parse(text)).toBe(wanted)
        for (const event of events) if (event.type === 'token') expect(event.text).not.toContain('\uFFFD')
        expect(done.reason).toBe('stop')
        expect(await endless.detokenize(tokens)).toBe(text)
      })

      it('survives tokens and back', async () => {
        for (const text of ['plain words', 'žlutý 日本語 🐑', '<|im_start|>user\nhi<|im_end|>']) {
          const tokens = await trained.tokenize(text, { addSpecial: false })
          expect(await trained.detokenize(tokens)).toBe(text)
        }
        expect(await trained.tokenize('<|im_end|>', { addSpecial: false })).toHaveLength(1)
      })
    })

    describe('a format', () => {
      const schema = {
        type: 'object',
        properties: {
          kind: { enum: ['capital', 'river'] },
          size: { type: 'integer', minimum: 1, maximum: 9 },
          tags: { type: 'array', items: { type: 'boolean' }, minItems: 1, maxItems: 3 },
          note: { anyOf: [{ type: 'null' }, { type: 'string', maxLength: 5 }] },
        },
        required: ['kind', 'size', 'tags', 'note'],
      }

      it('of a schema gives an answer that parses and satisfies it', async () => {
        for (const seed of [1, 2, 3]) {
          const { text, done } = await ramble({
            maxTokens: 400,
            format: schema,
            sampling: atTemperature(1, seed),
          })
          expect(done.reason).toBe('stop')
          const value = JSON.parse(text)
          expect(Object.keys(value)).toEqual(['kind', 'size', 'tags', 'note'])
          expect(['capital', 'river']).toContain(value.kind)
          expect(Number.isInteger(value.size) && value.size >= 1 && value.size <= 9).toBe(true)
          expect(value.tags.every((tag: unknown) => typeof tag === 'boolean')).toBe(true)
        }
      })

      it('of JSON gives an object', async () => {
        const prompt = `${asked('What is the capital of France? Answer in JSON.')}{"country": "France", "capital": "Paris`
        const { text, done } = await answer({
          prompt: `${prompt}"}\n`,
          maxTokens: 300,
          format: 'json',
          stop: [],
        })
        expect(text.trimStart()[0]).toBe('{')
        if (done.reason === 'stop') expect(typeof JSON.parse(text)).toBe('object')
        else expect(done.usage.outputTokens).toBe(300)
      })

      it('that is no schema is refused by name', async () => {
        await expect(answer({ format: { type: 'nonsense' } })).rejects.toMatchObject({
          code: 'invalid_format',
        })
        expect(trained.load()).toEqual(never4)
      })
    })

    describe('log-probabilities', () => {
      it("are the model's own, whatever the samplers do, sorted, with the bytes of their tokens", async () => {
        const prompt = asked('What is the capital of France?')
        const of = async (changes: Partial<CompletionRequest>) =>
          (await answer({ prompt, maxTokens: 8, topLogprobs: 4, ...changes })).events.flatMap((event) =>
            event.type === 'token' ? (event.logprobs ?? []) : [],
          )
        const greedy = await of({})
        expect(greedy).toHaveLength(8)
        for (const { top_logprobs = [], ...sampled } of greedy) {
          expect(sampled.logprob).toBeLessThanOrEqual(0)
          expect(top_logprobs).toHaveLength(4)
          expect(top_logprobs[0]).toEqual(sampled)
          const values = top_logprobs.map(({ logprob }) => logprob)
          expect(values).toEqual([...values].sort((a, b) => b - a))
          expect(values.reduce((sum, value) => sum + Math.exp(value), 0)).toBeLessThanOrEqual(1.0001)
          for (const { token, bytes } of top_logprobs) {
            if (!token.includes('\uFFFD')) expect(Buffer.from(bytes).toString()).toBe(token)
          }
        }
        const cold = await of({ sampling: { ...atTemperature(0.01, 3), top_k: 1 } })
        cold.forEach(({ logprob }, index) => expect(logprob).toBeCloseTo(greedy[index]?.logprob ?? 0, 2))
        const [plain] = await of({ topLogprobs: 0 })
        expect(plain?.top_logprobs).toBeUndefined()
      })
    })

    describe('the context', () => {
      const tokens = (count: number, from = 300) =>
        Array.from({ length: count }, (_, index) => from + (index % 500))

      it("that a prompt does not fit into is refused, in Ollama's words", async () => {
        await expect(ramble({ prompt: tokens(endless.contextLength) })).rejects.toMatchObject({
          code: 'context_exceeded',
          message: expect.stringMatching(
            /^the prompt is longer than the context length currently available to the model;/,
          ),
        })
        expect(endless.load()).toEqual(never4)
      })

      it('ends an answer when it is full', async () => {
        const prompt = tokens(endless.contextLength - 30)
        const { done } = await ramble({ prompt, maxTokens: 10_000 })
        expect(done.reason).toBe('length')
        const total = prompt.length + done.usage.outputTokens
        expect(Math.abs(total - endless.contextLength)).toBeLessThanOrEqual(1)
      })

      it('drops its middle and goes on where it may', async () => {
        const shifting = await launch({ contextShift: true, slots: 1 })
        const outputTokens = shifting.contextLength * 2
        const { done, tokens: output } = await answerOf(shifting, {
          prompt: tokens(100),
          maxTokens: outputTokens,
        })
        expect(done).toMatchObject({ reason: 'length', usage: { promptTokens: 100, outputTokens } })
        expect(output).toHaveLength(outputTokens)
        await shifting.close()
      })

      it('of an earlier prompt is used again, and counted', async () => {
        const prompt = tokens(300, 400)
        const first = await ramble({ prompt, maxTokens: 5 })
        expect(first.done.usage).toMatchObject({ promptTokens: 300, cachedTokens: 0, outputTokens: 5 })
        expect(first.done.usage.promptMs).toBeGreaterThan(0)
        expect(first.done.usage.outputMs).toBeGreaterThan(0)
        const again = await ramble({ prompt: [...prompt, 299, 298], maxTokens: 5 })
        expect(again.done.usage).toMatchObject({ promptTokens: 302, cachedTokens: 300 })
        expect((await ramble({ prompt, maxTokens: 5 })).done.usage.cachedTokens).toBeGreaterThanOrEqual(298)
      })
    })

    describe('many requests', () => {
      it('of which 64 come at once to 4 slots wait their turn, and all are answered', async () => {
        const answers = Array.from({ length: 64 }, (_, index) =>
          ramble({ prompt: `sheep ${index}`, maxTokens: 12 }),
        )
        await sleep(0)
        expect(endless.load()).toEqual({ running: 4, waiting: 60 })
        for (const { done } of await Promise.all(answers)) expect(done.usage.outputTokens).toBe(12)
        expect(endless.load()).toEqual(never4)
      })

      it('do not wait for one that is read slowly, which misses nothing', async () => {
        const maxTokens = 400
        const slow = endless.generate(request({ maxTokens }), never)[Symbol.asyncIterator]()
        let output: number[] = []
        await slow.next()
        await Promise.all(['a', 'b', 'c', 'd', 'e'].map((prompt) => ramble({ prompt, maxTokens: 50 })))
        for (let item = await slow.next(); !item.done; item = await slow.next()) {
          if (item.value.type === 'token') output = output.concat(item.value.tokens)
        }
        const whole = await ramble({ maxTokens })
        expect(output).toEqual(whole.tokens.slice(-output.length))
        expect(output.length).toBeGreaterThanOrEqual(maxTokens - 1)
      })
    })

    describe('an aborted request', () => {
      it('ends within a token, with the reason, and leaves its slot free', async () => {
        const control = new AbortController()
        let seen = 0
        let abortedMs = 0
        const reading = async () => {
          for await (const event of endless.generate(request({ maxTokens: 100_000 }), control.signal)) {
            if (event.type !== 'token' || ++seen < 5) continue
            abortedMs = performance.now()
            control.abort(new Error('enough'))
          }
        }
        await expect(reading()).rejects.toThrow('enough')
        expect(performance.now() - abortedMs).toBeLessThan(noticeMs)
        expect(seen).toBe(5)
        expect(endless.load()).toEqual(never4)
      })

      it('whose reader just stops leaves its slot free', async () => {
        for await (const event of endless.generate(request({ maxTokens: 100_000 }), never)) {
          if (event.type === 'token') break
        }
        expect(endless.load()).toEqual(never4)
      })

      it('does nothing when it was aborted before, or while it waits', async () => {
        const before = answerOf(endless, {}, AbortSignal.abort(new Error('before')))
        await expect(before).rejects.toThrow('before')
        const running = [1, 2, 3, 4].map(() => ramble({ maxTokens: 100 }))
        const control = new AbortController()
        const waiting = answerOf(endless, {}, control.signal)
        control.abort(new Error('while waiting'))
        await expect(waiting).rejects.toThrow('while waiting')
        await Promise.all(running)
      })

      it('is given up while its prompt is still computed', async () => {
        const wide = join(folder, 'wide.gguf')
        await writeSyntheticGguf(wide, {
          endless: true,
          layers: 6,
          dim: 512,
          heads: 8,
          vocab: 1024,
          context: 16_384,
        })
        const instance = await engine.launch(specOf(wide, { slots: 1, contextLength: 12_288 }), never)
        const prompt = (from: number) =>
          Array.from({ length: 10_000 }, (_, index) => from + ((index * 7) % 300))
        const { done } = await answerOf(instance, { prompt: prompt(300), maxTokens: 1 })
        const control = new AbortController()
        const startedMs = performance.now()
        setTimeout(() => control.abort(new Error('not wanted')), done.usage.promptMs / 10)
        await expect(
          answerOf(instance, { prompt: prompt(600), maxTokens: 1 }, control.signal),
        ).rejects.toThrow('not wanted')
        expect(performance.now() - startedMs).toBeLessThan(done.usage.promptMs / 2)
        expect(instance.load()).toEqual(never4)
        await instance.close()
      })

      it('that is long tells the progress of its prompt', async () => {
        const prompt = Array.from({ length: 480 }, (_, index) => 300 + ((index * 11) % 600))
        const progress = (await ramble({ prompt, maxTokens: 1 })).events.filter(
          (event) => event.type === 'progress',
        )
        for (const { processedTokens, totalTokens } of progress) {
          expect(totalTokens).toBe(480)
          expect(processedTokens).toBeLessThanOrEqual(480)
        }
        expect(progress.length).toBeGreaterThan(0)
      })
    })

    describe('an instance', () => {
      it('says what it is', async () => {
        expect(await engine.probe()).toMatchObject({ available: true, version: expect.any(String) })
        expect(endless).toMatchObject({ engine: engine.name, slots: 4 })
        expect(endless.contextLength).toBeGreaterThanOrEqual(512)
        expect(endless.memory.hostBytes).toBeGreaterThan(100_000)
      })

      it('whose process is killed fails its requests and says how it ended', async () => {
        const victim = await launch({ slots: 1 })
        const reading = begin(victim)
        await reading.begun
        const waiting = answerOf(victim).catch((error: unknown) => error)
        process.kill(victim.pid, 'SIGKILL')
        for (const error of [await reading.ended, await waiting]) {
          expect(error).toMatchObject({ code: 'engine_crashed', message: expect.stringContaining('SIGKILL') })
        }
        expect(await victim.exited).toMatchObject({
          kind: 'crashed',
          reason: expect.stringContaining('SIGKILL'),
        })
        await expect(answerOf(victim)).rejects.toMatchObject({ code: 'engine_crashed' })
        await victim.close()
      })

      it('that is closed with time to drain ends what runs, and refuses what comes', async () => {
        const draining = await launch()
        const running = answerOf(draining, { maxTokens: 200 })
        await sleep(5)
        const closing = draining.close({ drainMs: 30_000 })
        await expect(answerOf(draining)).rejects.toMatchObject({ code: 'shutting_down' })
        expect((await running).done.usage.outputTokens).toBe(200)
        await closing
        expect(await draining.exited).toMatchObject({ kind: 'closed' })
        expect(isAlive(draining.pid)).toBe(false)
      })

      it('that drains is hurried by a second call, and closed at once fails what runs', async () => {
        const draining = await launch({ contextShift: true })
        const reading = begin(draining)
        await reading.begun
        const closing = draining.close({ drainMs: 600_000 })
        const hurriedMs = performance.now()
        await Promise.all([closing, draining.close()])
        expect(performance.now() - hurriedMs).toBeLessThan(noticeMs + 1_000)
        expect(await reading.ended).toMatchObject({ code: 'engine_crashed' })
        expect(isAlive(draining.pid)).toBe(false)
      })

      it('that embeds gives one normalised vector an input, and says what is too long', async () => {
        const embedderPath = join(folder, 'embedder.gguf')
        await writeSyntheticGguf(embedderPath, { embeddingModel: true, seed: 5 })
        const embedder = await engine.launch(specOf(embedderPath, { embedding: true, slots: 2 }), never)
        const { embeddings, promptTokens } = await embedder.embed(['sheep', 'grass', 'sheep'], never)
        expect(embeddings).toHaveLength(3)
        for (const vector of embeddings) expect(Math.hypot(...vector)).toBeCloseTo(1, 4)
        expect(embeddings[2]).toEqual(embeddings[0])
        expect(embeddings[1]).not.toEqual(embeddings[0])
        const counts = await Promise.all(
          ['sheep', 'grass', 'sheep'].map((text) => embedder.tokenize(text, { addSpecial: true })),
        )
        expect(promptTokens).toBe(counts.reduce((sum, tokens) => sum + tokens.length, 0))
        expect(await embedder.embed([], never)).toEqual({ embeddings: [], promptTokens: 0 })
        await expect(embedder.embed(['grass '.repeat(600)], never)).rejects.toMatchObject({
          code: 'context_exceeded',
          message: 'the input length exceeds the context length',
        })
        await expect(trained.embed(['x'], never)).rejects.toMatchObject({ code: 'not_embedding_model' })
        await embedder.close()
      })
    })

    describe('a launch', () => {
      it('that cannot succeed says why, and leaves nothing', async () => {
        const junk = join(folder, 'junk.gguf')
        await writeFile(junk, 'this is no model')
        const cut = join(folder, 'cut.gguf')
        await writeFile(cut, await readFile(endlessPath))
        await truncate(cut, 300_000)
        const launched = (path: string) => engine.launch(specOf(path), never)
        await expect(launched(junk)).rejects.toMatchObject({
          code: 'load_failed',
          message: expect.stringContaining('contract'),
        })
        await expect(launched(cut)).rejects.toMatchObject({
          code: 'load_failed',
          message: expect.stringMatching(/corrupted or incomplete|not within the file/),
        })
        await expect(launched(join(folder, 'missing.gguf'))).rejects.toMatchObject({ code: 'load_failed' })
      })

      it('that needs more memory than there is says so', async () => {
        // Keys and values of 128 KiB a token: a context of 2.4 million is more than any test machine has.
        const wide = join(folder, 'greedy.gguf')
        await writeSyntheticGguf(wide, { layers: 8, heads: 32, headDim: 128 })
        const greedy = engine.launch(specOf(wide, { contextLength: 600_000 }), never)
        await expect(greedy).rejects.toMatchObject({ code: 'insufficient_memory' })
      })

      it('that is aborted ends with the reason', async () => {
        const control = new AbortController()
        const launched = engine.launch(specOf(endlessPath), control.signal)
        setTimeout(() => control.abort(new Error('not wanted any more')), 20)
        await expect(launched).rejects.toThrow('not wanted any more')
      })
    })
  })
}

/** Starts an answer that goes on; `begun` resolves at its first token, `ended` with the error that ends it. */
function begin(from: EngineInstance): { begun: Promise<void>; ended: Promise<unknown> } {
  let onBegun: () => void = () => undefined
  const begun = new Promise<void>((resolve) => {
    onBegun = resolve
  })
  const read = async () => {
    for await (const event of from.generate(request({ maxTokens: 100_000 }), never)) onToken(event)
    throw new Error('the answer ended by itself')
  }
  const onToken = (event: EngineEvent) => {
    if (event.type === 'token') onBegun()
  }
  return { begun, ended: read().catch((error: unknown) => error) }
}
