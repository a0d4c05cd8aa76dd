import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { llama8b } from '../testing.ts'
import { bitsPerWeight, fitVariants, type ModelVariant, requantised } from './variants.ts'

const gib = 2 ** 30
const types = ['F16', 'Q8_0', 'Q6_K', 'Q5_K_M', 'Q4_K_M', 'Q3_K_M', 'Q2_K']
const of8b = types.map(
  (fileType): ModelVariant => ({ tag: `8b-${fileType}`, fileType, of: requantised(llama8b, fileType) }),
)
const of70b = types.map(
  (fileType): ModelVariant => ({ tag: `70b-${fileType}`, fileType, of: { parameterCount: 70.6e9 } }),
)
const wishes = { contextLength: 8192 }

describe('the variant of a model for so much memory', () => {
  it.each([
    [24, '8b-F16'],
    [12, '8b-Q8_0'],
    [8.3, '8b-Q6_K'],
    [6, '8b-Q4_K_M'],
  ])('is, of an 8 billion Llama in %d GiB, %s', (memory, tag) => {
    expect(fitVariants(of8b, memory * gib, wishes).chosen).toMatchObject({
      variant: { tag },
      contextLength: 8192,
    })
  })

  it('has a quantised cache before a shorter context, and that before weights that are too coarse', () => {
    const at = (gigabytes: number, more = {}) => fitVariants(of8b, gigabytes * gib, { ...wishes, ...more })
    expect(at(5.4).chosen).toMatchObject({
      variant: { fileType: 'Q4_K_M' },
      kvCacheType: 'q8_0',
      contextLength: 8192,
    })
    expect(at(5.05).chosen).toMatchObject({ variant: { fileType: 'Q4_K_M' }, contextLength: 4096 })
    expect(at(4.5).chosen).toBeUndefined()
    expect(at(4.5).rejected.at(-1)?.reason).toBe('too coarse for a model of 8.0 billion parameters')
    expect(at(4.5, { anyQuality: true }).chosen).toMatchObject({ variant: { fileType: 'Q3_K_M' } })
    expect(at(5.05, { exactContext: true }).chosen).toBeUndefined()
  })

  it('says of the others why they were left', () => {
    const { rejected } = fitVariants(of8b, 12 * gib, wishes)
    expect(rejected[0]).toMatchObject({
      variant: { tag: '8b-F16' },
      reason: expect.stringMatching(/^needs 16\.\d GiB of 12\.0 GiB$/),
    })
    expect(rejected[1]).toMatchObject({ variant: { tag: '8b-Q6_K' }, reason: 'a finer one fits' })
  })

  it('is told roughly by the number of parameters where no file is at hand', () => {
    expect(fitVariants(of70b, 46 * gib, wishes).chosen).toMatchObject({ variant: { tag: '70b-Q4_K_M' } })
    expect(fitVariants(of70b, 160 * gib, wishes).chosen).toMatchObject({ variant: { tag: '70b-F16' } })
    expect(fitVariants(of70b, 32 * gib, wishes).chosen).toMatchObject({ variant: { tag: '70b-Q2_K' } })
  })

  it('fits, and is no coarser with more memory', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1, max: 40, noNaN: true }),
        fc.double({ min: 0, max: 20, noNaN: true }),
        (memory, more) => {
          const few = fitVariants(of8b, memory * gib, wishes).chosen
          const many = fitVariants(of8b, (memory + more) * gib, wishes).chosen
          if (!few) return
          expect(few.neededBytes).toBeLessThanOrEqual(memory * gib)
          const bits = (chosen: typeof few | undefined) => bitsPerWeight(chosen?.variant.fileType ?? '') ?? 0
          // More memory first gives back context and cache, then finer weights.
          if (many?.contextLength === few.contextLength && many.kvCacheType === few.kvCacheType) {
            expect(bits(many)).toBeGreaterThanOrEqual(bits(few))
          }
          expect(many?.contextLength ?? 0).toBeGreaterThanOrEqual(few.contextLength)
        },
      ),
    )
  })
})

describe('bits of a weight', () => {
  it('are those of whole files, more for small models', () => {
    expect(bitsPerWeight('q4_k_m')).toBe(4.85)
    expect(bitsPerWeight('Q4_K_M', 1e9)).toBeCloseTo(5.2)
    expect(bitsPerWeight('fp7')).toBeUndefined()
    expect(requantised(llama8b, 'F16').weightBytes / 2 ** 30).toBeCloseTo(15, 0)
  })
})
