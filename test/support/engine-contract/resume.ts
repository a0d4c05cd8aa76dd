import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CompletionRequest, EngineInstance } from '../../../src/engines/index.ts'
import { answerOf, never, request } from '../llama-bench.ts'
import { asked, type ContractBench, specOf } from './bench.ts'

const cuts = [1, 7, 16, 33]

const country = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 20, maxLength: 30 },
    cities: { type: 'array', items: { type: 'string', maxLength: 12 }, minItems: 3, maxItems: 4 },
    size: { type: 'integer' },
  },
  required: ['name', 'cities', 'size'],
}
const { sampling } = request()

/** Answers that are long enough for every cut. */
const answers: [name: string, changes: Partial<CompletionRequest>][] = [
  ['plain text', {}],
  [
    'text under penalties',
    { sampling: { ...sampling, repeat_penalty: 1.3, presence_penalty: 0.4, repeat_last_n: 48 } },
  ],
  [
    'text under penalties of all there is',
    { sampling: { ...sampling, frequency_penalty: 0.3, repeat_last_n: -1 } },
  ],
  ['text with stop strings that only begin', { stop: ['. The quick', ' is not', 'e\u0000', ', "'] }],
  ['JSON', { format: 'json' }],
  ['JSON by a schema', { format: country }],
  ['characters of several tokens', { format: { const: 'žlutý 日本語 🐑👩‍👩‍👧 ∑ — ≤ ß' } }],
]

/** Answers that are begun on one instance and finished on another. */
export function describeResume(bench: ContractBench): void {
  describe('an answer that breaks off', () => {
    let second: EngineInstance
    beforeAll(async () => {
      second = await bench.engine.launch(specOf(bench.trainedPath, { slots: 1 }), never)
    }, 60_000)
    afterAll(() => second?.close())

    const prompt = `${asked('What is the capital of France?')}Paris is`
    const whole = (changes: Partial<CompletionRequest>) => ({ prompt, maxTokens: 60, ...changes })

    /** Reads until so many tokens have come, or the whole answer; what an Ollama tells has no tokens yet. */
    async function begin(changes: Partial<CompletionRequest>, cut: number) {
      let text = ''
      const tokens: number[] = []
      let pieces = 0
      for await (const event of bench.trained.generate(request(whole(changes)), never)) {
        if (event.type !== 'token') continue
        text += event.text
        tokens.push(...event.tokens)
        pieces += Math.max(1, event.tokens.length)
        if (pieces >= cut) break
      }
      return { text, tokens, pieces }
    }

    for (const [name, changes] of answers) {
      const supported = bench.abilities.tokens || changes.format === undefined
      it(`is finished elsewhere as if it had not been cut: ${name}`, async () => {
        const uncut = await answerOf(bench.trained, whole(changes))
        expect(uncut.done.usage.outputTokens).toBeGreaterThan(Math.max(...cuts))
        for (const cut of cuts) {
          const begun = await begin(changes, cut)
          expect(uncut.text.startsWith(begun.text)).toBe(true)
          const exact = bench.trained.tokensAtEnd
            ? prompt + begun.text
            : [...(await second.tokenize(prompt, { addSpecial: true })), ...begun.tokens]
          const rest = answerOf(second, {
            ...whole(changes),
            prompt: exact,
            maxTokens: 60 - begun.pieces,
            formatPrefix: begun.text,
          })
          if (!supported) {
            await expect(rest).rejects.toMatchObject({ code: 'unsupported' })
            continue
          }
          const { text, tokens, done } = await rest
          expect(begun.text + text).toBe(uncut.text)
          if (!bench.trained.tokensAtEnd) expect([...begun.tokens, ...tokens]).toEqual(uncut.tokens)
          expect(done.reason).toBe(uncut.done.reason)
        }
      }, 60_000)
    }

    it('ends where its stop string would have ended it, which no cut divides', async () => {
      const { text } = await answerOf(bench.trained, whole({}))
      const stop = text.slice(12, 19)
      const stopped = await answerOf(bench.trained, whole({ stop: [stop] }))
      for (let cut = 1; cut < 6; cut++) {
        const begun = await begin({ stop: [stop] }, cut)
        if (begun.text.length >= stopped.text.length) continue
        expect(stopped.text.startsWith(begun.text)).toBe(true)
        const rest = await answerOf(second, { ...whole({ stop: [stop] }), prompt: prompt + begun.text })
        expect(begun.text + rest.text).toBe(stopped.text)
      }
    })

    if (bench.abilities.tokens) {
      it('is refused where no text of its format begins so', async () => {
        const wrong = answerOf(second, { prompt, format: country, formatPrefix: '{"nome' })
        await expect(wrong).rejects.toMatchObject({ code: 'invalid_format' })
        const right = await answerOf(second, {
          prompt,
          format: 'json',
          formatPrefix: '{"a":1}',
          maxTokens: 4,
        })
        expect(right.text.trim()).toBe('')
      })
    }
  })
}
