import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AnswerOptions, answerTo } from './answer.ts'
import { detokenize, tokenize } from './tokenizer.ts'

const ask = (changes: Partial<AnswerOptions> = {}): AnswerOptions => ({
  seed: 0,
  meanTokens: 100,
  maxTokens: 300,
  stop: [],
  ...changes,
})
const prompt = fc.string({ unit: 'binary', maxLength: 60 })
const seed = fc.integer({ min: 0, max: 2 ** 32 - 1 })

describe("the mock engine's text", () => {
  it('goes on alike wherever it was cut and whether the rest comes as tokens or as text', () => {
    fc.assert(
      fc.property(prompt, seed, fc.nat(), (text, number, where) => {
        const start = tokenize(text)
        const whole = answerTo(start, ask({ seed: number }))
        fc.pre(whole.tokens.length > 0)
        const cut = where % (whole.tokens.length + 1)
        const options = ask({ seed: number, maxTokens: 300 - cut })

        const byTokens = answerTo([...start, ...whole.tokens.slice(0, cut)], options)
        expect([...whole.tokens.slice(0, cut), ...byTokens.tokens]).toEqual(whole.tokens)

        // The text that a client has seen by then; a character that was not whole yet is said again.
        const seen = whole.pieces.slice(0, cut)
        const seenTokens = seen.flatMap(({ tokens }) => tokens)
        const seenText = seen.map((piece) => piece.text).join('')
        const byText = answerTo(
          tokenize(text + seenText),
          ask({ seed: number, maxTokens: 300 - seenTokens.length }),
        )
        expect(seenText + byText.text).toBe(whole.text)
      }),
      { numRuns: 500 },
    )
  })

  it('differs for other prompts, before whatever template, and for other seeds', () => {
    const answer = (text: string, number = 0) => answerTo(tokenize(text), ask({ seed: number })).text
    const end = '<|im_end|>\n<|im_start|>assistant\n'
    const texts = [answer(`one${end}`), answer(`two${end}`), answer(`one${end}`, 1), answer(`one${end}`, 2)]
    expect(new Set(texts).size).toBe(4)
    expect(answer(`one${end}`)).toBe(texts[0])
  })

  it('is whole characters, each token told once with the text it belongs to', () => {
    fc.assert(
      fc.property(prompt, seed, (text, number) => {
        const { pieces, tokens, text: all, ending } = answerTo(tokenize(text), ask({ seed: number }))
        expect(pieces).toHaveLength(tokens.length)
        expect(all).not.toContain('\uFFFD')
        const told = pieces.flatMap((piece) => piece.tokens)
        expect(detokenize(told)).toBe(all)
        // Only the limit can cut a character.
        if (ending === 'eos') expect(told).toEqual(tokens)
      }),
    )
  })

  it('is as long as asked for on average, ends with a sentence, and has no end where it is told so', () => {
    const answers = Array.from({ length: 400 }, (_, index) =>
      answerTo(tokenize(`question ${index}\n`), ask({ maxTokens: 5_000, meanTokens: 200 })),
    )
    const mean = answers.reduce((sum, { tokens }) => sum + tokens.length, 0) / answers.length
    expect(mean).toBeGreaterThan(150)
    expect(mean).toBeLessThan(260)
    expect(answers.every(({ text, ending }) => ending === 'eos' && text.endsWith('.'))).toBe(true)
    const endless = answerTo(tokenize('x'), ask({ meanTokens: Number.POSITIVE_INFINITY, maxTokens: 20_000 }))
    expect(endless.tokens).toHaveLength(20_000)
    expect(endless.ending).toBe('limit')
  })

  it('ends before a stop string, of which nothing is seen, and shows what only looked like one', () => {
    const { text } = answerTo(tokenize('hello'), ask())
    fc.assert(
      fc.property(fc.nat(text.length - 2), fc.integer({ min: 1, max: 12 }), (at, length) => {
        const stop = text.slice(at, at + length)
        // Half a character stops nothing.
        fc.pre(stop.isWellFormed())
        const stopped = answerTo(tokenize('hello'), ask({ stop: [stop, 'never to be seen'] }))
        expect(stopped).toMatchObject({ ending: 'word', stopWord: stop })
        expect(stopped.text).toBe(text.slice(0, text.indexOf(stop)))
      }),
    )
    const tempted = ask({ stop: [...'etaoinshrdlu'].map((letter) => `${letter}~`) })
    expect(answerTo(tokenize('hello'), tempted).text).toBe(text)
  })

  it('of no tokens at all is empty', () => {
    expect(answerTo(tokenize('hello'), ask({ maxTokens: 0 }))).toEqual({
      pieces: [],
      tokens: [],
      text: '',
      ending: 'limit',
      stopWord: '',
    })
  })
})
