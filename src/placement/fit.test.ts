import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Fit, type FitRequest, fitInstance } from './fit.ts'
import { estimateMemory } from './memory/estimate.ts'
import { llama8b, shapes, wishes } from './testing.ts'

const gib = 2 ** 30
const base: FitRequest = {
  modelName: 'llama3:8b',
  shape: llama8b,
  budgetBytes: 64 * gib,
  wanted: {},
  defaultContextLength: 4096,
}

function fitted(changes: Partial<FitRequest>): Extract<Fit, { ok: true }> {
  const fit = fitInstance({ ...base, ...changes })
  if (!fit.ok) throw new Error(fit.message)
  return fit
}

function refused(changes: Partial<FitRequest>): Extract<Fit, { ok: false }> {
  const fit = fitInstance({ ...base, ...changes })
  if (fit.ok) throw new Error(`fits with ${fit.contextLength} tokens in ${fit.slots} slots`)
  return fit
}

/** Memory that just suffices for so much. */
const enoughFor = (contextLength: number, slots: number) =>
  estimateMemory(llama8b, { contextLength, slots }).totalBytes

describe('a model with memory to spare', () => {
  it('gets four slots of the default context', () => {
    const { contextLength, slots, memory, reasons } = fitted({})
    expect([contextLength, slots]).toEqual([4096, 4])
    expect(memory).toEqual(estimateMemory(llama8b, { contextLength: 4096, slots: 4 }))
    expect(reasons).toEqual(['context of 4096 tokens by default', '4 slots by default'])
  })

  it('gets what was asked for, but no context beyond the trained one', () => {
    const asked = fitted({ wanted: { contextLength: 100_000, slots: 2 } })
    expect([asked.contextLength, asked.slots]).toEqual([8192, 2])
    expect(asked.reasons).toEqual([
      'context of 8192 tokens as asked for, cut from 100000 to what the model was trained for',
      '2 slots as asked for',
    ])
    expect(fitted({ defaultContextLength: 262_144 }).contextLength).toBe(8192)
    expect(fitted({ wanted: { contextLength: 1 } }).contextLength).toBe(4)
    expect(fitted({ wanted: { slots: 0 } }).slots).toBe(1)
  })

  it('has any context where the file names no trained one', () => {
    const shape = { ...llama8b, contextLength: 0 }
    expect(fitted({ shape, wanted: { contextLength: 20_000 } }).contextLength).toBe(20_000)
  })

  it('gets one slot when it embeds: the inputs of a request are batched within it', () => {
    expect(fitted({ embedding: true }).slots).toBe(1)
    expect(fitted({ embedding: true, wanted: { slots: 3 } }).slots).toBe(3)
  })
})

describe('a model short of memory', () => {
  it('gives up slots before context', () => {
    const { contextLength, slots, reasons } = fitted({
      defaultContextLength: 8192,
      budgetBytes: enoughFor(8192, 2),
    })
    expect([contextLength, slots]).toEqual([8192, 2])
    expect(reasons[1]).toBe('2 slots: memory does not allow 4')
  })

  it('then gives up context, down to 4096 tokens, as little as it must', () => {
    const { contextLength, slots, reasons } = fitted({
      defaultContextLength: 8192,
      budgetBytes: enoughFor(5120, 1),
    })
    expect([contextLength, slots]).toEqual([5120, 1])
    expect(reasons[0]).toBe('context cut from 8192 to 5120 tokens to fit into 5.4 GiB')
    expect(fitted({ defaultContextLength: 8192, budgetBytes: enoughFor(4096, 1) }).contextLength).toBe(4096)
    expect(refused({ defaultContextLength: 8192, budgetBytes: enoughFor(4096, 1) - 1 }).ok).toBe(false)
  })

  it('keeps the slots that were asked for, and shortens the context for them', () => {
    const { contextLength, slots } = fitted({
      defaultContextLength: 8192,
      wanted: { slots: 3 },
      budgetBytes: enoughFor(6144, 3),
    })
    expect([contextLength, slots]).toEqual([6144, 3])
  })

  it('is refused rather than given less context than was asked for, and told what would fit', () => {
    const { message, neededBytes, budgetBytes, suggestions } = refused({
      wanted: { contextLength: 8192, slots: 2 },
      budgetBytes: enoughFor(6144, 2),
    })
    expect(neededBytes).toBe(enoughFor(8192, 2))
    expect(budgetBytes).toBe(enoughFor(6144, 2))
    expect(suggestions).toEqual([
      'a context of 6144 tokens (num_ctx) would fit',
      'one request at a time (OLLAMA_NUM_PARALLEL=1) would fit',
      'a smaller KV cache (OLLAMA_KV_CACHE_TYPE=q8_0) would fit',
    ])
    expect(message).toBe(
      `model "llama3:8b" needs 6.7 GiB but only 6.2 GiB is available; ${suggestions.join(', or ')}`,
    )
  })

  it('is pointed to a smaller quantisation where that would do', () => {
    const shape = { ...llama8b, weightBytes: 16_060_522_496 }
    const { suggestions } = refused({ shape, budgetBytes: 8 * gib })
    expect(suggestions).toEqual(['a Q4_K_M version of the model (about 4.5 GiB of weights) would fit'])
  })

  it('is told to be smaller where nothing else would do', () => {
    const { message, suggestions } = refused({ budgetBytes: 50 * 2 ** 20 })
    expect(suggestions).toEqual(['take a smaller model, or free memory'])
    expect(message).toContain('but only 50.0 MiB is available')
  })
})

describe('corrections from what was seen', () => {
  it('scale the estimate by kind', () => {
    const plain = fitted({}).memory
    const scaled = fitted({ corrections: { weights: 1.5, kvCache: 1, compute: 2 } }).memory
    expect(scaled.weightsBytes / plain.weightsBytes).toBeCloseTo(1.5, 6)
    expect(scaled.kvCacheBytes).toBe(plain.kvCacheBytes)
    expect(scaled.computeBytes / plain.computeBytes).toBeCloseTo(2, 6)
    const corrections = { weights: 1.2, kvCache: 1.2, compute: 1.2 }
    expect(refused({ corrections, budgetBytes: enoughFor(4096, 1) }).neededBytes).toBeGreaterThan(
      enoughFor(4096, 1),
    )
  })
})

describe('whatever the model, the memory and the wishes', () => {
  const requests: fc.Arbitrary<FitRequest> = fc
    .record({
      shape: shapes,
      asked: wishes,
      namesContext: fc.boolean(),
      namesSlots: fc.boolean(),
      defaultContextLength: fc.constantFrom(4096, 32768, 262_144),
      share: fc.double({ min: 0.2, max: 3, noNaN: true }),
      correction: fc.double({ min: 0.5, max: 2, noNaN: true }),
    })
    .map(({ shape, asked, namesContext, namesSlots, defaultContextLength, share, correction }) => ({
      modelName: 'm',
      shape,
      budgetBytes: Math.floor(share * estimateMemory(shape, { contextLength: 4096, slots: 1 }).totalBytes),
      wanted: {
        contextLength: namesContext ? asked.contextLength : undefined,
        slots: namesSlots ? asked.slots : undefined,
      },
      defaultContextLength,
      kvCacheType: asked.kvCacheType,
      batchSize: asked.batchSize,
      flashAttention: asked.flashAttention,
      embedding: asked.embedding,
      corrections: { weights: correction, kvCache: correction, compute: correction },
    }))

  it('what fits keeps within the budget and the trained context, and honours what was asked for', () => {
    fc.assert(
      fc.property(requests, (request) => {
        const fit = fitInstance(request)
        const { shape, wanted, budgetBytes } = request
        if (!fit.ok) {
          expect(fit.neededBytes).toBeGreaterThan(budgetBytes)
          expect(fit.message).toContain('needs')
          expect(fit.suggestions.length).toBeGreaterThan(0)
          return
        }
        const trained = shape.contextLength || Number.POSITIVE_INFINITY
        expect(fit.memory.totalBytes).toBeLessThanOrEqual(budgetBytes)
        expect(fit.contextLength).toBeLessThanOrEqual(trained)
        expect(fit.contextLength).toBeGreaterThanOrEqual(4)
        if (wanted.slots !== undefined) expect(fit.slots).toBe(wanted.slots)
        else expect(fit.slots).toBeLessThanOrEqual(4)
        if (wanted.contextLength !== undefined) {
          expect(fit.contextLength).toBe(Math.min(wanted.contextLength, trained))
        } else expect(fit.contextLength).toBeGreaterThanOrEqual(Math.min(4096, trained))
      }),
      { numRuns: 500 },
    )
  })

  it('the same request has the same answer, and more memory never gives less', () => {
    fc.assert(
      fc.property(requests, fc.nat(10_000_000_000), (request, extra) => {
        const fit = fitInstance(request)
        expect(fitInstance(request)).toEqual(fit)
        const richer = fitInstance({ ...request, budgetBytes: request.budgetBytes + extra })
        if (!fit.ok) return
        expect(richer.ok).toBe(true)
        if (!richer.ok) return
        expect(richer.contextLength).toBeGreaterThanOrEqual(fit.contextLength)
        if (richer.contextLength === fit.contextLength) expect(richer.slots).toBeGreaterThanOrEqual(fit.slots)
      }),
      { numRuns: 300 },
    )
  })

  it('a smaller context that is suggested does fit', () => {
    fc.assert(
      fc.property(requests, (request) => {
        const fit = fitInstance(request)
        if (fit.ok) return
        const [, tokens] = /a context of (\d+) tokens/.exec(fit.message) ?? []
        if (tokens === undefined) return
        const slots = request.wanted.slots ?? 1
        expect(fitInstance({ ...request, wanted: { contextLength: Number(tokens), slots } }).ok).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})
