import { describe, expect, it } from 'vitest'
import type { CompletionRequest } from '../../../src/engines/index.ts'
import { answerOf, atTemperature, request } from '../llama-bench.ts'
import { asked, type ContractBench, idle } from './bench.ts'

/** What an answer is made of. */
export function describeAnswers(bench: ContractBench): void {
  const answer = (changes: Partial<CompletionRequest>) => answerOf(bench.trained, changes)
  const ramble = (changes: Partial<CompletionRequest> = {}) => answerOf(bench.endless, changes)

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
      const tokens = await bench.trained.tokenize(prompt, { addSpecial: true })
      const plain = await answer({ prompt, maxTokens: 60 })
      expect(plain.done.usage.promptTokens).toBe(tokens.length)
      const toTokens = answer({ prompt: tokens, maxTokens: 60 })
      expect((await toTokens).text).toBe(plain.text)
    })

    it('obeys the samplers: penalties change it, and top_k 1 is temperature 0', async () => {
      const greedy = await ramble()
      const penalised = await ramble({
        sampling: { ...request().sampling, repeat_penalty: 1.8, repeat_last_n: -1 },
      })
      expect(penalised.tokens).not.toEqual(greedy.tokens)
      const sampled = bench.abilities.tokens ? penalised.tokens : []
      expect(new Set(sampled).size).toBe(sampled.length)
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
        expect(done).toMatchObject({ reason: 'stop', ...(bench.abilities.details && { stopSequence: stop }) })
        const pieces = events.flatMap((event) => (event.type === 'token' ? event.text : []))
        expect(pieces.join('')).toBe(text)
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
      expect(await bench.endless.detokenize(tokens)).toBe(text)
    })

    it('survives tokens and back', async () => {
      for (const text of ['plain words', 'žlutý 日本語 🐑', '<|im_start|>user\nhi<|im_end|>']) {
        const tokens = await bench.trained.tokenize(text, { addSpecial: false })
        expect(await bench.trained.detokenize(tokens)).toBe(text)
      }
      expect(await bench.trained.tokenize('<|im_end|>', { addSpecial: false })).toHaveLength(1)
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
      expect(bench.trained.load()).toEqual(idle)
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
      for (const [index, { logprob }] of cold.entries()) {
        expect(logprob).toBeCloseTo(greedy[index]?.logprob ?? 0, 2)
      }
      const [plain] = await of({ topLogprobs: 0 })
      expect(plain?.top_logprobs).toBeUndefined()
    })
  })
}
