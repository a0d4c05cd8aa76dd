import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { schemaToGrammar } from '../../../src/engines/embedded/schema-grammar.ts'
import type { CompletionRequest, EngineInstance } from '../../../src/engines/index.ts'
import { jsonObjectGrammar } from '../../../src/engines/json-grammar.ts'
import { residualGrammar } from '../../../src/engines/residual-grammar.ts'
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

const story = asked('Tell me a story.')
const skills = asked('What can you do?')

/** Answers that are long enough for every cut. */
const freeAnswers: [name: string, changes: Partial<CompletionRequest>][] = [
  ['plain text', { prompt: story }],
  [
    'text under penalties',
    { prompt: skills, sampling: { ...sampling, repeat_penalty: 1.3, repeat_last_n: 24 } },
  ],
  [
    'text under penalties of all there is',
    {
      prompt: story,
      sampling: { ...sampling, frequency_penalty: 0.6, presence_penalty: 0.3, repeat_last_n: -1 },
    },
  ],
  [
    'text that begins like stop strings',
    {
      prompt: story,
      stop: ['user wants nothing', 'ry. I\u0001', 'the one about the cat', 'ho was', '</think>\n\nNo'],
    },
  ],
]
const boundAnswers: [name: string, changes: Partial<CompletionRequest>][] = [
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

    const maxTokens = 48
    const prompt = `${asked('What is the capital of France?')}Paris is`

    /** Reads until so many tokens have come; an Ollama tells its pieces only. */
    async function begin(changes: Partial<CompletionRequest>, cut: number) {
      let text = ''
      const tokens: number[] = []
      let pieces = 0
      for await (const event of bench.trained.generate(request({ prompt, maxTokens, ...changes }), never)) {
        if (event.type !== 'token') continue
        expect(event.guessed).toBeUndefined()
        text += event.text
        tokens.push(...event.tokens)
        pieces += Math.max(1, event.tokens.length)
        if (pieces >= cut) break
      }
      return { text, tokens }
    }

    /** The answer, and the same in two parts: what was begun until then, and what the second instance made of it. */
    async function inTwoParts(changes: Partial<CompletionRequest>, cut: number) {
      const { text, tokens } = await begin(changes, cut)
      const whole = String(changes.prompt ?? prompt)
      const rest = await answerOf(second, {
        ...changes,
        prompt: second.tokensAtEnd
          ? whole + text
          : [...(await second.tokenize(whole, { addSpecial: true })), ...tokens],
        maxTokens: maxTokens - tokens.length,
        formatPrefix: text,
      })
      return {
        begun: text,
        text: text + rest.text,
        tokens: [...tokens, ...rest.tokens],
        reason: rest.done.reason,
      }
    }

    async function finishesElsewhere(changes: Partial<CompletionRequest>): Promise<void> {
      const uncut = await answerOf(bench.trained, { prompt, maxTokens, ...changes })
      expect(uncut.done.usage.outputTokens).toBeGreaterThan(Math.max(...cuts))
      for (const cut of cuts) {
        const { begun, text, tokens, reason } = await inTwoParts(changes, cut)
        expect(uncut.text.startsWith(begun)).toBe(true)
        // How many tokens were begun is not known where none are told: the second may then say more.
        if (second.tokensAtEnd) expect(text.slice(0, uncut.text.length)).toBe(uncut.text)
        else
          expect({ text, tokens, reason }).toEqual({
            text: uncut.text,
            tokens: uncut.tokens,
            reason: uncut.done.reason,
          })
      }
    }

    /** Continued by its text, an answer may go on by other tokens; it is one of the format all the same. */
    async function staysWithin(changes: Partial<CompletionRequest>): Promise<void> {
      const { format = 'json' } = changes
      const grammar = format === 'json' ? jsonObjectGrammar : schemaToGrammar(format)
      for (const cut of cuts) {
        const { begun, text } = await inTwoParts(changes, cut)
        expect(text.length).toBeGreaterThan(begun.length)
        residualGrammar(grammar, text)
      }
    }

    for (const [name, changes] of freeAnswers) {
      it(`is finished elsewhere as if it had not been cut: ${name}`, () => finishesElsewhere(changes), 60_000)
    }

    it('ends before its stop string wherever it is cut', async () => {
      const changes = { prompt: story, stop: ['small sheep'] }
      const stopped = await answerOf(bench.trained, { maxTokens, ...changes })
      expect(stopped.text.endsWith('about the ')).toBe(true)
      for (let cut = 1; ; cut++) {
        const { text } = await begin(changes, cut)
        expect(stopped.text.startsWith(text)).toBe(true)
        // The stop string came with what was read last: there is nothing to finish.
        if (text === stopped.text) break
        expect(await inTwoParts(changes, cut)).toMatchObject({ text: stopped.text, reason: 'stop' })
      }
    }, 60_000)

    if (!bench.abilities.tokens) {
      it('is refused where it was begun under a format', async () => {
        const wanted = answerOf(bench.trained, { prompt, format: 'json', formatPrefix: '{' })
        await expect(wanted).rejects.toMatchObject({ code: 'unsupported' })
      })
      return
    }

    for (const [name, changes] of boundAnswers) {
      it(`is finished elsewhere as if it had not been cut: ${name}`, async () => {
        if (bench.trained.tokensAtEnd) await staysWithin(changes)
        else await finishesElsewhere(changes)
      }, 60_000)
    }

    it('is refused where no text of its format begins so, and ends where nothing may follow', async () => {
      const wrong = answerOf(bench.trained, { prompt, format: country, formatPrefix: '{"nome' })
      await expect(wrong).rejects.toMatchObject({ code: 'invalid_format' })
      const changes = {
        prompt,
        format: country,
        formatPrefix: '{"name": "the Kingdom of Denmark", "cities": ["a","b","c"], "size": 7}',
      }
      expect(await answerOf(bench.trained, changes)).toMatchObject({ text: '', done: { reason: 'stop' } })
    })
  })
}
