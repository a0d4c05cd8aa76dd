import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Outcome } from './contract.ts'
import { createRecord } from './record.ts'

function outcome(ttftMs: number, actualTtftMs: number, model = 'llama'): Outcome {
  const same = { finishMs: 1000, outputTokens: 100, cachedTokens: 0 }
  return {
    model,
    instance: 1,
    predicted: { ttftMs, ...same },
    actual: { ttftMs: actualTtftMs, ...same },
  }
}

describe('the record of predictions', () => {
  it('is empty before anything was recorded', () => {
    expect(createRecord().errors().size).toBe(0)
  })

  it('says how far off they were, by nearest rank, and whether they lean to one side', () => {
    const record = createRecord()
    for (let percent = 1; percent <= 10; percent++) record.record(outcome(100 + percent, 100))
    const errors = record.errors().get('llama')
    expect(errors?.requests).toBe(10)
    expect(errors?.ttft.p50).toBeCloseTo(0.05, 5)
    expect(errors?.ttft.p90).toBeCloseTo(0.09, 5)
    expect(errors?.ttftBias).toBeCloseTo(1.055, 5)
    expect(errors).toMatchObject({ finish: { p50: 0, p90: 0 }, outputTokens: { p50: 0 }, finishBias: 1 })
  })

  it('keeps the last thousand of each model, and of all together under the empty name', () => {
    const record = createRecord()
    for (let i = 0; i < 500; i++) record.record(outcome(300, 100))
    for (let i = 0; i < 1000; i++) record.record(outcome(100, 100))
    for (let i = 0; i < 10; i++) record.record(outcome(200, 100, 'qwen'))
    const errors = record.errors()
    expect([...errors].map(([model, { requests }]) => [model, requests])).toEqual([
      ['', 1000],
      ['llama', 1000],
      ['qwen', 10],
    ])
    expect(errors.get('llama')?.ttftBias).toBe(1)
    expect(errors.get('')?.ttftBias).toBeCloseTo(1.01, 5)
  })

  it('forgets the model that was used longest ago when there are too many', () => {
    const record = createRecord({ outcomes: 4, models: 2 })
    for (const model of ['a', 'b', 'a', 'c']) record.record(outcome(1, 1, model))
    expect([...record.errors().keys()]).toEqual(['', 'a', 'c'])
  })

  it('stays finite whatever it is told', () => {
    const side = fc.record({
      ttftMs: fc.double(),
      finishMs: fc.double(),
      outputTokens: fc.double(),
      cachedTokens: fc.double(),
    })
    fc.assert(
      fc.property(fc.array(fc.tuple(side, side)), (pairs) => {
        const record = createRecord({ outcomes: 8, models: 2 })
        for (const [predicted, actual] of pairs) record.record({ model: 'a', instance: 1, predicted, actual })
        for (const { ttft, finish, outputTokens, ttftBias, finishBias } of record.errors().values()) {
          const all = [ttft.p50, ttft.p90, finish.p50, finish.p90, outputTokens.p50, outputTokens.p90]
          for (const value of [...all, ttftBias, finishBias]) {
            expect(value).toSatisfy((is: number) => Number.isFinite(is) && is >= 0)
          }
        }
      }),
    )
  })
})
