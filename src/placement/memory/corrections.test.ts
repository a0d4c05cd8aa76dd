import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  correctionsFor,
  type LearnedMemory,
  learn,
  type MemoryKey,
  readLearned,
  uncorrected,
} from './corrections.ts'

const key: MemoryKey = {
  model: 'sha256-1',
  architecture: 'llama',
  fileType: 'Q8_0',
  backend: 'llama.cpp cuda',
}
const estimated = { weightsBytes: 1000, kvCacheBytes: 200, computeBytes: 100 }
const observed = { weightsBytes: 1100, kvCacheBytes: 200, computeBytes: 90 }

describe('what was learned from a load', () => {
  it('corrects the same model to what was seen, kind by kind', () => {
    const corrections = correctionsFor(learn({}, key, estimated, observed), key)
    expect(corrections).toEqual({ weights: 1.1, kvCache: 1, compute: 0.9 })
  })

  it('corrects other models of the kind by half at first, and never downwards', () => {
    const other = { ...key, model: 'sha256-2' }
    let known = learn({}, key, estimated, observed)
    const first = correctionsFor(known, other)
    expect(first.weights).toBeCloseTo(1.05)
    expect(first.compute).toBe(1)
    for (let load = 0; load < 5; load++) known = learn(known, key, estimated, observed)
    expect(correctionsFor(known, other).weights).toBeGreaterThan(1.07)
    expect(correctionsFor(known, { ...other, architecture: 'qwen3' })).toEqual(uncorrected)
    expect(correctionsFor(known, { ...key, backend: 'llama.cpp vulkan' })).toEqual(uncorrected)
  })

  it('follows what has changed: after five loads hardly anything is left of what was before', () => {
    let known = learn({}, key, estimated, { ...estimated, weightsBytes: 2000 })
    for (let load = 0; load < 5; load++) known = learn(known, key, estimated, estimated)
    expect(correctionsFor(known, key).weights).toBeLessThan(1.07)
  })

  it('keeps the latest of many models', () => {
    let known: LearnedMemory = {}
    for (let model = 0; model < 600; model++) {
      known = learn(known, { ...key, model: `${model}`, architecture: `${model}` }, estimated, observed)
    }
    expect(Object.keys(known)).toHaveLength(500)
    expect(correctionsFor(known, { ...key, model: '599' }).weights).toBeCloseTo(1.1)
  })

  it('keeps within bounds, whatever was seen', () => {
    const bytes = fc.double({ min: -1e15, max: 1e15 })
    const kinds = fc.record({ weightsBytes: bytes, kvCacheBytes: bytes, computeBytes: bytes })
    fc.assert(
      fc.property(fc.array(fc.tuple(kinds, kinds), { maxLength: 10 }), (loads) => {
        const known = loads.reduce<LearnedMemory>((state, [was, is]) => learn(state, key, was, is), {})
        for (const value of Object.values(correctionsFor(known, key))) {
          expect(value).toBeGreaterThanOrEqual(0.5)
          expect(value).toBeLessThanOrEqual(3)
        }
        expect(readLearned(JSON.parse(JSON.stringify(known)))).toEqual(known)
      }),
    )
  })

  it('is read back without what is wrong with it', () => {
    const good = { weights: 1, kvCache: 1, compute: 1.2, weight: 1 }
    const bad = { ...good, weights: 'much' }
    expect(readLearned({ good, bad, worse: { ...good, compute: 1e9 }, none: null })).toEqual({ good })
    expect(readLearned([good])).toEqual({})
    expect(readLearned('x')).toEqual({})
  })
})
