import { describe, expect, it } from 'vitest'
import type { ModelShape } from '../../models/index.ts'
import { llama8b } from '../testing.ts'
import { estimateMemory, type MemoryWishes } from './estimate.ts'

const mib = 2 ** 20

/** 4 layers of 16 heads of 128, 256 wide, 512 tokens of vocabulary, F16: attention takes more than anything else. */
const shape: ModelShape = {
  ...llama8b,
  layerCount: 4,
  layerBytes: [1, 1, 1, 1],
  embeddingLength: 256,
  feedForwardLength: 256,
  headCount: 16,
  headCountKv: [16, 16, 16, 16],
  keyLength: 128,
  valueLength: 128,
  vocabularySize: 512,
}
const windowed: Partial<ModelShape> = { slidingWindow: 1024, slidingLayers: [true, true, true, false] }
const wish: MemoryWishes = { contextLength: 512, slots: 1, batchSize: 512, cpu: { amx: false } }

/** Buffers of the arithmetic and of its results, as llama-server 0.7.0 tells them in hundredths of a MiB. */
function expectCompute(more: Partial<ModelShape>, asked: Partial<MemoryWishes>, seenMib: number): void {
  const { computeBytes } = estimateMemory({ ...shape, ...more }, { ...wish, ...asked })
  expect(Math.abs(computeBytes / mib - seenMib)).toBeLessThanOrEqual(0.011)
}

describe('the buffers of a computation', () => {
  it('hold queries, keys and values before and after they are turned', () => {
    expectCompute({}, {}, 19.02)
    expectCompute({}, { flashAttention: 'off' }, 35.51)
    expectCompute({}, { kvCacheType: 'q8_0' }, 19.1)
    expectCompute({}, { kvCacheType: 'q8_0', flashAttention: 'off' }, 31.58)
    expectCompute({ headCountKv: [1, 1, 1, 1] }, {}, 11.02)
    expectCompute({ headCountKv: [1, 1, 1, 1] }, { flashAttention: 'off' }, 28.01)
  })

  it('have keys before values where some layers see a window, and no inputs for a cache that none has', () => {
    const layers = { layerCount: 12, layerBytes: new Array<number>(12).fill(1) }
    const heads = { headCountKv: new Array<number>(12).fill(16) }
    const slidingLayers = heads.headCountKv.map((_, layer) => layer % 6 < 5)
    expectCompute({ ...layers, ...heads, ...windowed, slidingLayers }, {}, 15.53)
    expectCompute({ ...windowed, slidingLayers: [true, true, true, true] }, {}, 15.02)
  })

  it('round a cache of 32-bit floats for flash attention', () => {
    const layers = { layerCount: 12, layerBytes: new Array<number>(12).fill(1) }
    const heads = { headCountKv: new Array<number>(12).fill(16) }
    const slidingLayers = heads.headCountKv.map((_, layer) => layer % 6 < 5)
    const asked = { contextLength: 4096, kvCacheType: 'f32' }
    expectCompute({ ...layers, ...heads, ...windowed, slidingLayers }, asked, 48.03)
  })

  it('need no norm before a part whose result is normed', () => {
    const olmo = { ...windowed, norms: 'results', embeddingLength: 2048, feedForwardLength: 512 } as const
    expectCompute(olmo, { flashAttention: 'off', slots: 3, contextLength: 4000 }, 175.37)
  })

  it('widen before they project what was attended, in Command R', () => {
    const command = { ...windowed, architecture: 'cohere2', parallelLayers: true, embeddingLength: 2048 }
    const wide = { headCountKv: [4, 4, 4, 4], feedForwardLength: 4096 }
    expectCompute({ ...command, ...wide }, {}, 45.03)
    expectCompute({ ...command, feedForwardLength: 512 }, {}, 29.03)
  })

  it('hold what a short convolution takes', () => {
    const short = { width: 2048, convolved: 2048, convolution: 2, state: 0 }
    const lfm = {
      ...{ architecture: 'lfm2', layerCount: 6, layerBytes: [1, 1, 1, 1, 1, 1], embeddingLength: 2048 },
      ...{ headCountKv: [0, 0, 4, 0, 0, 4], recurrent: short, recurrentStateBytes: 4 * 4 * 2 * 2048 },
    }
    expectCompute(lfm, {}, 36.53)
    expectCompute(lfm, { slots: 5 }, 36.82)
    expectCompute({ ...lfm, feedForwardLength: 8192 }, { slots: 5, flashAttention: 'off' }, 71.44)
    expect(estimateMemory({ ...shape, ...lfm }, wish).kvCacheBytes).toBe(4 * 4 * 2 * 2048 + 2 * 2 ** 20)
  })

  it('of BERT fill keys and values up to whole cells, and norm sums apart', () => {
    const bert = (heads: number, feedForwardLength: number): Partial<ModelShape> => ({
      ...{ architecture: 'bert', norms: 'sums', tabledPositions: true, feedForward: 'plain' },
      ...{ headCount: heads, headCountKv: [heads, heads, heads, heads], keyLength: 64, valueLength: 64 },
      ...{ embeddingLength: 64 * heads, feedForwardLength },
    })
    const asked = (contextLength: number, flashAttention: 'on' | 'off') => ({
      ...{ contextLength, batchSize: contextLength, flashAttention, embedding: true },
    })
    expectCompute(bert(16, 1024), asked(1024, 'on'), 30.04)
    expectCompute(bert(16, 1024), asked(1163, 'on'), 35.14)
    expectCompute(bert(16, 1024), asked(1000, 'off'), 97.88)
    expectCompute(bert(4, 6144), asked(1023, 'off'), 33.99)
  })

  it('are laid out for as many tokens of each slot, and for no batch longer than what was asked for', () => {
    const compute = (asked: Partial<MemoryWishes>) =>
      estimateMemory(shape, { ...wish, ...asked }).computeBytes
    const uneven = { slots: 16, contextLength: 6758, flashAttention: 'off' } as const
    expect(compute({ ...uneven, batchSize: 3447 })).toBe(compute({ ...uneven, batchSize: 3456 }))
    expect(compute({ contextLength: 288, batchSize: 2048 })).toBe(
      compute({ contextLength: 288, batchSize: 288 }),
    )
  })
})
