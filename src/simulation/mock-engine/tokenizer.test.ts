import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytesOf, detokenize, endToken, tokenize, vocabularySize } from './tokenizer.ts'

const text = fc.string({ unit: 'binary', maxLength: 200 })

describe("the mock engine's tokenizer", () => {
  it('gives every text back as it was', () => {
    fc.assert(
      fc.property(text, (one) => {
        expect(detokenize(tokenize(one))).toBe(one)
      }),
      { numRuns: 2000 },
    )
  })

  it('gives every text back when special tokens count as text', () => {
    const marked = fc.array(fc.oneof(text, fc.constant('<|im_start|>'), fc.constant('<|im_end|>')))
    fc.assert(
      fc.property(marked, (parts) => {
        const tokens = tokenize(parts.join(''), { parseSpecial: false })
        expect(detokenize(tokens)).toBe(parts.join(''))
        expect(tokens).not.toContain(endToken)
      }),
    )
  })

  it('numbers tokens within 31 bits and within its vocabulary', () => {
    fc.assert(
      fc.property(text, (one) => {
        for (const token of tokenize(one)) expect(token).toBeLessThan(vocabularySize)
      }),
    )
    expect(vocabularySize).toBeLessThan(2 ** 31)
  })

  it('has no two tokens of the same bytes among those it makes, and refuses numbers that are none', () => {
    fc.assert(
      fc.property(fc.integer({ min: -5, max: 2 ** 31 }), (token) => {
        let bytes: Buffer
        try {
          bytes = bytesOf(token)
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
          return
        }
        expect(bytes.length).toBeGreaterThan(0)
      }),
      { numRuns: 2000 },
    )
    for (const token of [0, -1, 3, 1.5, 4096, 4096 + 65, Number.NaN]) {
      expect(() => bytesOf(token), String(token)).toThrow(/is no token/)
    }
  })

  it('takes about as many tokens for English as real tokenizers do', () => {
    const prose =
      'The quick brown fox jumps over the lazy dog while seventeen engineers discuss whether batching ' +
      'requests improves the throughput of their graphics cards.'
    const ratio = prose.length / tokenize(prose).length
    expect(ratio).toBeGreaterThan(3)
    expect(ratio).toBeLessThan(6)
  })

  it('knows the special tokens', () => {
    expect(tokenize('<|im_end|>')).toEqual([endToken])
    expect(tokenize('a<|im_end|>b')).toHaveLength(3)
  })
})
