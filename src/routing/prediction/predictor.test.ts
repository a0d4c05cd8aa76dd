import { describe, expect, it } from 'vitest'
import type { RatesOf } from './contract.ts'
import { createPredictor } from './predictor.ts'
import { observed, shapeLike } from './testing.ts'

const of: RatesOf = { instance: 1, model: 'llama', kind: 'gpu' }

describe('the predictor', () => {
  it('learns speed and length from one and the same request', () => {
    const predictor = createPredictor()
    const speed = { prefillTokensPerS: 2000, decodeBaseMs: 20, decodePerRequestMs: 0 }
    for (let i = 0; i < 20; i++) predictor.observe(observed(of, speed, { outputTokens: 700 }))
    expect(predictor.rates(of).prefillTokensPerS).toBeCloseTo(2000, 6)
    expect(predictor.outputTokens(shapeLike()) / 700).toBeCloseTo(1, 1)
  })

  it('keeps lengths and records when an instance is forgotten', () => {
    const predictor = createPredictor()
    predictor.observeLoad(of, 5000)
    const times = { ttftMs: 10, finishMs: 20, outputTokens: 5, cachedTokens: 0 }
    predictor.record({ model: 'llama', instance: 1, predicted: times, actual: times })
    predictor.forget(1)
    expect(predictor.rates({ ...of, instance: 2 }).loadMs).toBe(5000)
    expect(predictor.errors().get('llama')?.requests).toBe(1)
  })

  it('works within the limits it is given', () => {
    const predictor = createPredictor({ record: { outcomes: 2, models: 1 } })
    const times = { ttftMs: 10, finishMs: 20, outputTokens: 5, cachedTokens: 0 }
    for (let i = 0; i < 5; i++) predictor.record({ model: 'a', instance: 1, predicted: times, actual: times })
    expect(predictor.errors().get('a')?.requests).toBe(2)
  })
})
