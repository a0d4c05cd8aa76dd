import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RequestShape } from './contract.ts'
import { createOutputLengths, lengthLimits, usualOutputTokens } from './output-length.ts'
import { seeded, shapeLike } from './testing.ts'

function taught(lengths: readonly number[], shape: RequestShape = shapeLike()) {
  const outputs = createOutputLengths()
  for (const length of lengths) outputs.observe(shape, length)
  return outputs
}

/** The mean of what was still to come, counted one by one; each answer counts 0.99 of the one after it. */
function byHand(lengths: readonly number[], soFar: number, limit = Number.POSITIVE_INFINITY) {
  let left = 0
  let weight = 0
  for (const [index, length] of lengths.entries()) {
    if (length <= soFar) continue
    const counts = 0.99 ** (lengths.length - 1 - index)
    left += counts * (Math.min(length, limit) - soFar)
    weight += counts
  }
  return { mean: left / weight, weight }
}

describe('the length of an answer', () => {
  it('is the usual one while nothing is known, and never more than the request allows', () => {
    const outputs = createOutputLengths()
    expect(outputs.outputTokens(shapeLike())).toBe(usualOutputTokens)
    expect(outputs.outputTokens(shapeLike({ maxTokens: 40 }))).toBe(40)
    expect(outputs.outputTokens(shapeLike({ maxTokens: -1 }))).toBe(usualOutputTokens)
  })

  it('is the mean of those before, of the late ones more than of the early ones', () => {
    const lengths = [...Array(200).fill(100), ...Array(300).fill(400)]
    const found = taught(lengths).outputTokens(shapeLike())
    expect(found / byHand(lengths, 0).mean).toBeCloseTo(1, 3)
    expect(found).toBeGreaterThan(380)
  })

  it('counts as cut off what would have been longer than allowed', () => {
    const lengths = Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? 1000 : 10))
    const outputs = taught(lengths)
    expect(outputs.outputTokens(shapeLike({ maxTokens: 100 })) / 40).toBeCloseTo(1, 1)
  })

  it('is that of the tenant, then that of the shape, then that of the model', () => {
    const outputs = createOutputLengths()
    const long = shapeLike({ tenant: 'ann', thinking: true })
    const short = shapeLike({ tenant: 'bob', thinking: true })
    const other = shapeLike({ tenant: 'bob', format: true })
    for (let i = 0; i < 500; i++) {
      outputs.observe(long, 1200)
      outputs.observe(short, 200)
      outputs.observe(other, 20)
    }
    expect(outputs.outputTokens(long) / 1200).toBeCloseTo(1, 2)
    expect(outputs.outputTokens(short) / 200).toBeCloseTo(1, 2)
    const stranger = outputs.outputTokens(shapeLike({ tenant: 'eve', thinking: true }))
    expect(stranger / 700).toBeCloseTo(1, 1)
    const strangeShape = outputs.outputTokens(shapeLike({ tenant: 'eve', tools: true }))
    expect(strangeShape / ((1200 + 200 + 20) / 3)).toBeCloseTo(1, 1)
    expect(outputs.outputTokens(shapeLike({ model: 'another' }))).toBe(usualOutputTokens)
  })

  it('keeps prompts of other lengths apart, by powers of two', () => {
    const outputs = taught(Array(50).fill(500), shapeLike({ promptTokens: 4000 }))
    for (let i = 0; i < 50; i++) outputs.observe(shapeLike({ promptTokens: 20 }), 50)
    expect(outputs.outputTokens(shapeLike({ promptTokens: 2100 })) / 500).toBeCloseTo(1, 1)
    expect(outputs.outputTokens(shapeLike({ promptTokens: 30 })) / 50).toBeCloseTo(1, 1)
  })

  it('passes from a rung to the next as evidence comes, without a leap', () => {
    const outputs = taught(Array(100).fill(1000), shapeLike({ tenant: 'bob' }))
    const seen = [0, 1, 2, 3].map(() => {
      const now = outputs.outputTokens(shapeLike())
      outputs.observe(shapeLike(), 10)
      return now
    })
    expect(seen).toEqual(seen.toSorted((a, b) => b - a))
    expect(new Set(seen).size).toBe(4)
    for (let i = 0; i < 3; i++) outputs.observe(shapeLike(), 10)
    expect(outputs.outputTokens(shapeLike())).toBeCloseTo(10, 1)
  })

  it('does not learn a short answer from a request that allowed no more', () => {
    const outputs = taught(Array(30).fill(600))
    for (let i = 0; i < 200; i++) outputs.observe(shapeLike({ maxTokens: 16 }), 16)
    expect(outputs.outputTokens(shapeLike()) / 600).toBeCloseTo(1, 1)
    expect(outputs.outputTokens(shapeLike({ maxTokens: 16 }))).toBe(16)
  })

  it('holds no more than its limits', () => {
    const outputs = createOutputLengths({ ...lengthLimits, tenantShapes: 2, shapes: 2, models: 2 })
    for (let i = 0; i < 4; i++) {
      for (let n = 0; n < 5; n++) outputs.observe(shapeLike({ model: `m${i}` }), 10)
    }
    expect(outputs.outputTokens(shapeLike({ model: 'm3' }))).toBeCloseTo(10, 3)
    expect(outputs.outputTokens(shapeLike({ model: 'm0' }))).toBe(usualOutputTokens)
  })
})

describe('what is still to come of an answer', () => {
  it('is the conditional mean, as counted by hand', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 20, maxLength: 120 })
    fc.assert(
      fc.property(lengths, fc.integer({ min: 0, max: 3000 }), (answers, soFar) => {
        const { mean, weight } = byHand(answers, soFar)
        // Those in the bucket of `soFar` itself may be counted or not: what lies clear above it has to be enough.
        const near = byHand(answers, soFar / 1.3).weight - byHand(answers, soFar * 1.3).weight
        fc.pre(weight >= 3.1 && near < weight / 10)
        const found = taught(answers).remainingTokens(shapeLike(), soFar)
        expect(found).toBeGreaterThan(mean * 0.85)
        expect(found).toBeLessThan(mean * 1.15)
      }),
    )
  })

  it('is the conditional mean of a smooth distribution too, for any limit', () => {
    const random = seeded(3)
    const answers = Array.from({ length: 400 }, () => Math.ceil(300 * -Math.log(1 - random())))
    const outputs = taught(answers)
    for (const soFar of [0, 7, 20, 100, 250, 500]) {
      for (const maxTokens of [soFar + 30, soFar + 200, 5000]) {
        const found = outputs.remainingTokens(shapeLike({ maxTokens }), soFar)
        expect(Math.abs(found / byHand(answers, soFar, maxTokens).mean - 1)).toBeLessThan(0.15)
      }
    }
  })

  it('grows with an answer where there are two kinds, short and long', () => {
    const outputs = taught(Array.from({ length: 200 }, (_, i) => (i % 10 === 0 ? 2000 : 50)))
    expect(outputs.remainingTokens(shapeLike(), 0)).toBeLessThan(300)
    expect(outputs.remainingTokens(shapeLike(), 100)).toBeGreaterThan(1800)
  })

  it('is half of what there is, beyond the longest that was seen', () => {
    expect(taught(Array(50).fill(100)).remainingTokens(shapeLike(), 1000)).toBe(500)
  })

  it('is at least one token and at most what the request allows, whatever was observed and asked', () => {
    const anything = fc.oneof(fc.double(), fc.integer({ min: -2, max: 3000 }))
    const shapes = fc.record(
      {
        model: fc.constantFrom('a', 'b'),
        tenant: fc.constantFrom('ann', 'bob'),
        kind: fc.constantFrom('chat' as const, 'generate' as const),
        promptTokens: anything,
        tools: fc.boolean(),
        format: fc.boolean(),
        thinking: fc.boolean(),
        maxTokens: anything,
      },
      { requiredKeys: ['model', 'tenant', 'kind', 'promptTokens', 'tools', 'format', 'thinking'] },
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(shapes, anything)), shapes, anything, (seen, asked, soFar) => {
        const outputs = createOutputLengths()
        for (const [shape, tokens] of seen) outputs.observe(shape, tokens)
        for (const left of [outputs.outputTokens(asked), outputs.remainingTokens(asked, soFar)]) {
          expect(left).toSatisfy((is: number) => Number.isFinite(is) && is >= 1)
        }
        const limit = asked.maxTokens !== undefined && asked.maxTokens >= 1 ? asked.maxTokens : Infinity
        expect(outputs.outputTokens(asked)).toBeLessThanOrEqual(limit * (1 + 1e-6))
      }),
      { numRuns: 300 },
    )
  })
})
