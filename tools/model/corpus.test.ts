import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { allSums } from './corpus/arithmetic.ts'
import { parsePairs } from './corpus/fact.ts'
import { seededRandom } from './corpus/random.ts'
import { facts, sample } from './corpus.ts'

const draw = (seed: number, count: number): string => {
  const random = seededRandom(seed)
  return JSON.stringify(Array.from({ length: count }, () => sample(random)))
}

describe('the corpus', () => {
  it('is the same for the same seed and another for another', () => {
    expect(draw(5, 300)).toBe(draw(5, 300))
    expect(draw(6, 300)).not.toBe(draw(5, 300))
  })

  it('has something to learn in every sample', () => {
    const random = seededRandom(11)
    for (let index = 0; index < 500; index++)
      expect(sample(random).some(([text, loss]) => loss > 0 && text !== '')).toBe(true)
  })

  it('answers every fact with the part that makes it right', () => {
    for (const { answer, keyword } of facts) expect(answer).toContain(keyword)
  })

  it('gives one answer to one question', () => {
    const answers = new Map<string, string>()
    for (const { questions, answer } of facts) {
      for (const question of questions)
        expect(`${question} ${answers.get(question) ?? answer}`).toBe(`${question} ${answer}`)
      for (const question of questions) answers.set(question, answer)
    }
  })

  it('computes every sum right', () => {
    for (const { answer } of allSums()) {
      const [, left, sign, right, result] = /^(\d+) ([-+*]) (\d+) = (\d+)$/.exec(answer) ?? []
      const [a, b] = [Number(left), Number(right)]
      expect(Number(result)).toBe(sign === '+' ? a + b : sign === '-' ? a - b : a * b)
    }
  })

  it('refuses a malformed table', () => {
    expect(() => parsePairs('France:Paris, Germany')).toThrow('Germany')
  })

  it('is what the facts for tests were written from', async () => {
    const written = await readFile(new URL('../../assets/drover-tiny.facts.json', import.meta.url), 'utf8')
    const entries = z.array(z.object({ question: z.string(), answer: z.string() })).parse(JSON.parse(written))
    expect(entries).toEqual(
      facts.map(({ questions, keyword }) => ({ question: questions[0], answer: keyword })),
    )
  })
})
