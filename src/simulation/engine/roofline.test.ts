import { describe, expect, it } from 'vitest'
import { engineModelOf } from './roofline.ts'

const h100 = { memoryBytesPerS: 3350e9, flopsPerS: 989e12, memoryBytes: 80 * 2 ** 30 }
const eightB = { activeParams: 8.03e9, weightBytes: 16.06e9, kvBytesPerToken: 131_072 }

describe('an instance by the roofline', () => {
  it('is limited by FLOPS in prefill and by memory bandwidth in decoding', () => {
    const model = engineModelOf(h100, eightB)
    expect(model.prefillTokensPerS).toBeCloseTo((989e12 * 0.5) / (2 * 8.03e9), 0)
    expect(model.decodeBaseMs).toBeCloseTo((16.06e9 / (3350e9 * 0.8)) * 1000 + 0.96, 2)
    expect(model.decodePerKvTokenMs).toBeCloseTo((131_072 / (3350e9 * 0.8)) * 1000, 9)
    expect(model.kvTokens).toBeGreaterThan(450_000)
    expect(model.kvTokens).toBeLessThan(510_000)
  })

  it('reads only the active weights of a mixture of experts', () => {
    const dense = engineModelOf(h100, eightB)
    const sparse = engineModelOf(h100, { ...eightB, activeWeightBytes: eightB.weightBytes / 4 })
    expect(sparse.decodeBaseMs).toBeLessThan(dense.decodeBaseMs / 2)
    expect(sparse.kvTokens).toBe(dense.kvTokens)
  })

  it('says when the weights leave no room', () => {
    expect(() => engineModelOf({ ...h100, memoryBytes: 12 * 2 ** 30 }, eightB)).toThrow(
      'leave no room for a KV cache',
    )
  })
})
