import { describe, expect, it } from 'vitest'
import type { Usage } from '../../inference/index.ts'
import { createSpeculationBook, speculationVerdict } from './speculation.ts'

const usage = (outputTokens: number, outputMs: number, draftTokens: number, accepted: number): Usage => ({
  promptTokens: 10,
  cachedTokens: 0,
  outputTokens,
  promptMs: 1,
  outputMs,
  draftTokens,
  draftAcceptedTokens: accepted,
})

describe('guessing ahead', () => {
  it('wins or loses by the rates with and without, once enough was measured', () => {
    const plain = { tokens: 10, ms: 100 }
    expect(speculationVerdict({ tokens: 100, ms: 100 }, plain)).toBe('unknown')
    expect(speculationVerdict({ tokens: 1000, ms: 1000 }, { tokens: 3, ms: 30 })).toBe('unknown')
    expect(speculationVerdict({ tokens: 1000, ms: 5_000 }, plain)).toBe('wins')
    expect(speculationVerdict({ tokens: 1000, ms: 11_000 }, plain)).toBe('loses')
    expect(speculationVerdict({ tokens: 1000, ms: 10_200 }, plain)).toBe('wins')
  })
})

describe('the books of an instance', () => {
  it('count all guesses, and the rates of answers that ran alone', () => {
    const book = createSpeculationBook()
    expect(book.figures()).toEqual({ draftTokens: 0, acceptedTokens: 0, verdict: 'unknown' })
    book.answered(usage(101, 500, 80, 60), true)
    book.answered(usage(101, 5000, 80, 10), false)
    book.answered(usage(1, 0, 0, 0), true)
    expect(book.figures()).toEqual({
      draftTokens: 160,
      acceptedTokens: 70,
      decodeTokensPerS: 200,
      verdict: 'unknown',
    })
    book.stepped({ tokens: 8, ms: 80 })
    book.answered(usage(101, 500, 80, 60), true)
    expect(book.figures()).toMatchObject({ decodeTokensPerS: 200, plainTokensPerS: 100, verdict: 'wins' })
  })

  it('follow a change of what is asked', () => {
    const book = createSpeculationBook()
    book.stepped({ tokens: 8, ms: 80 })
    for (let answer = 0; answer < 100; answer++) book.answered(usage(101, 500, 80, 60), true)
    expect(book.figures().verdict).toBe('wins')
    for (let answer = 0; answer < 200; answer++) book.answered(usage(101, 1500, 300, 3), true)
    expect(book.figures().verdict).toBe('loses')
  })
})
