import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { CompletionRequest } from '../../../src/engines/index.ts'
import { writeSyntheticGguf } from '../../../tools/synthetic.ts'
import { answerOf, atTemperature, never, request } from '../llama-bench.ts'
import { type ContractBench, idle, promptOf, specOf } from './bench.ts'

/** How long an engine may take to notice a cancel, on a machine that other tests share. */
const noticeMs = 2_000

/** What becomes of requests: contexts, queues, aborts. */
export function describeRequests(bench: ContractBench): void {
  const ramble = (changes: Partial<CompletionRequest> = {}) => answerOf(bench.endless, changes)

  describe('the context', () => {
    it("that a prompt does not fit into is refused, in Ollama's words", async () => {
      const prompt = await promptOf(bench, bench.endless.contextLength)
      await expect(ramble({ prompt })).rejects.toMatchObject({
        code: 'context_exceeded',
        message: expect.stringMatching(
          /^the prompt is longer than the context length currently available to the model;/,
        ),
      })
      expect(bench.endless.load()).toEqual(idle)
    })

    it('ends an answer when it is full', async () => {
      const promptTokens = bench.endless.contextLength - 30
      const prompt = await promptOf(bench, promptTokens)
      const { done } = await ramble({ prompt, maxTokens: 10_000 })
      expect(done.reason).toBe('length')
      const total = promptTokens + done.usage.outputTokens
      expect(Math.abs(total - bench.endless.contextLength)).toBeLessThanOrEqual(1)
    })

    it('drops its middle and goes on where it may', async () => {
      const shifting = await bench.launch({ contextShift: true, slots: 1 })
      const outputTokens = shifting.contextLength * 2
      const prompt = await promptOf(bench, 100)
      // Not the likeliest token each time: a server may end an answer that repeats itself.
      const sampling = atTemperature(1, 3)
      const { done } = await answerOf(shifting, { prompt, sampling, maxTokens: outputTokens })
      expect(done).toMatchObject({ reason: 'length', usage: { promptTokens: 100, outputTokens } })
      await shifting.close()
    })

    it('of an earlier prompt is used again, and counted', async () => {
      const { details } = bench.abilities
      const cached = (cachedTokens: number) => details && { cachedTokens }
      const prompt = await promptOf(bench, 300, 400)
      const longer = typeof prompt === 'string' ? `${prompt} a b` : [...prompt, 299, 298]
      const first = await ramble({ prompt, maxTokens: 5 })
      expect(first.done.usage).toMatchObject({ promptTokens: 300, ...cached(0), outputTokens: 5 })
      expect(first.done.usage.promptMs).toBeGreaterThan(0)
      expect(first.done.usage.outputMs).toBeGreaterThan(0)
      const again = await ramble({ prompt: longer, maxTokens: 5 })
      expect(again.done.usage.promptTokens).toBeGreaterThan(300)
      expect(again.done.usage).toMatchObject({ ...(details && { promptTokens: 302 }), ...cached(300) })
      const repeated = (await ramble({ prompt, maxTokens: 5 })).done.usage
      expect(repeated.cachedTokens).toBeGreaterThanOrEqual(details ? 298 : 0)
    })
  })

  if (bench.abilities.details) {
    it('of conversations that take turns over two slots finds each in the cache, also where they begin alike', async () => {
      const instance = await bench.launch({ slots: 2 })
      const instructions = 'Say what a sheep would say, and nothing else. '.repeat(3)
      const talks = ['What do you eat, and where do you find it?', 'Who shears you, and who was the first?']
      const turn = async (index: number) => {
        const prompt = `${instructions}${talks[index]}`
        const { text, done } = await answerOf(instance, {
          prompt,
          maxTokens: 8,
          format: { const: 'baa baa' },
        })
        talks[index] = `${talks[index]}${text} And what do you do then, if you do anything at all?`
        return done.usage
      }
      for (const index of [0, 1]) await turn(index)
      for (const index of [0, 1, 0, 1, 0, 1]) {
        const { promptTokens, cachedTokens } = await turn(index)
        expect(promptTokens - cachedTokens).toBeLessThan(70)
      }
      await instance.close()
    })
  }

  describe('many requests', () => {
    it('of which 64 come at once to 4 slots wait their turn, and all are answered', async () => {
      const answers = Array.from({ length: 64 }, (_, index) =>
        ramble({ prompt: `sheep ${index}`, maxTokens: 12 }),
      )
      await sleep(0)
      expect(bench.endless.load()).toEqual({ running: 4, waiting: 60 })
      for (const { done } of await Promise.all(answers)) expect(done.usage.outputTokens).toBe(12)
      expect(bench.endless.load()).toEqual(idle)
    })

    it('do not wait for one that is read slowly, which misses nothing', async () => {
      const maxTokens = 400
      const slow = bench.endless.generate(request({ maxTokens }), never)[Symbol.asyncIterator]()
      let text = ''
      const first = await slow.next()
      await Promise.all(['a', 'b', 'c', 'd', 'e'].map((prompt) => ramble({ prompt, maxTokens: 50 })))
      for (let item = first; !item.done; item = await slow.next()) {
        if (item.value.type === 'token') text += item.value.text
        else if (item.value.type === 'done') expect(item.value.usage.outputTokens).toBe(maxTokens)
      }
      expect(text).toBe((await ramble({ maxTokens })).text)
    })
  })

  describe('an aborted request', () => {
    it('ends within a token, with the reason, and leaves its slot free', async () => {
      const control = new AbortController()
      let seen = 0
      let abortedMs = 0
      const reading = async () => {
        for await (const event of bench.endless.generate(request({ maxTokens: 100_000 }), control.signal)) {
          if (event.type !== 'token' || ++seen < 5) continue
          abortedMs = performance.now()
          control.abort(new Error('enough'))
        }
      }
      await expect(reading()).rejects.toThrow('enough')
      expect(performance.now() - abortedMs).toBeLessThan(noticeMs)
      expect(seen).toBe(5)
      expect(bench.endless.load()).toEqual(idle)
    })

    it('whose reader just stops leaves its slot free', async () => {
      for await (const event of bench.endless.generate(request({ maxTokens: 100_000 }), never)) {
        if (event.type === 'token') break
      }
      expect(bench.endless.load()).toEqual(idle)
    })

    it('does nothing when it was aborted before, or while it waits', async () => {
      const before = answerOf(bench.endless, {}, AbortSignal.abort(new Error('before')))
      await expect(before).rejects.toThrow('before')
      const running = [1, 2, 3, 4].map(() => ramble({ maxTokens: 100 }))
      const control = new AbortController()
      const waiting = answerOf(bench.endless, {}, control.signal)
      control.abort(new Error('while waiting'))
      await expect(waiting).rejects.toThrow('while waiting')
      await Promise.all(running)
    })

    it('is given up while its prompt is still computed, of which it told the progress', async () => {
      const wide = join(bench.folder, 'wide.gguf')
      await writeSyntheticGguf(wide, { endless: true, layers: 4, dim: 512, heads: 8, context: 4_096 })
      const spec = specOf(wide, { slots: 1, contextLength: 2_560, batchSize: 128 })
      const instance = await bench.engine.launch(spec, never)
      const [one, other] = await Promise.all([300, 600].map((from) => promptOf(bench, 2_000, from, instance)))
      const { events, done } = await answerOf(instance, { prompt: one ?? [], maxTokens: 1 })
      const progress = events.flatMap((event) => (event.type === 'progress' ? event.processedTokens : []))
      if (bench.abilities.details) expect(progress.length).toBeGreaterThan(2)
      expect(progress).toEqual([...progress].sort((a, b) => a - b))

      const control = new AbortController()
      const startedMs = performance.now()
      setTimeout(() => control.abort(new Error('not wanted')), done.usage.promptMs / 10)
      const aborted = answerOf(instance, { prompt: other ?? [], maxTokens: 1 }, control.signal)
      await expect(aborted).rejects.toThrow('not wanted')
      expect(performance.now() - startedMs).toBeLessThan(done.usage.promptMs / 2)
      expect(instance.load()).toEqual(idle)
      await instance.close()
    })
  })
}
