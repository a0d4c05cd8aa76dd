import fc from 'fast-check'
import type { ModelShape } from '../models/index.ts'

/** Llama 3 8B in Q4_K_M, by the numbers of its file. */
export const llama8b: ModelShape = {
  architecture: 'llama',
  parameterCount: 8_030_261_248,
  layerCount: 32,
  contextLength: 8192,
  embeddingLength: 4096,
  feedForwardLength: 14336,
  headCount: 32,
  headCountKv: new Array<number>(32).fill(8),
  keyLength: 128,
  valueLength: 128,
  vocabularySize: 128256,
  weightBytes: 4_912_898_304,
  layerBytes: new Array<number>(32).fill(136_000_000),
  inputBytes: 295_501_824,
  outputBytes: 430_956_544,
}

/** Shapes of all kinds: grouped and latent heads, windows, recurrent layers, experts. */
export const shapes: fc.Arbitrary<ModelShape> = fc
  .record({
    layers: fc.integer({ min: 1, max: 80 }),
    headsKv: fc.integer({ min: 0, max: 16 }),
    headLength: fc.constantFrom(32, 64, 128, 256),
    embeddingLength: fc.integer({ min: 64, max: 8192 }),
    vocabularySize: fc.integer({ min: 256, max: 256_000 }),
    contextLength: fc.constantFrom(0, 512, 2048, 4096, 8192, 32768, 131072),
    weightBytes: fc.integer({ min: 1_000_000, max: 80_000_000_000 }),
    slidingWindow: fc.option(fc.integer({ min: 128, max: 8192 }), { nil: undefined }),
    experts: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
    recurrentStateBytes: fc.option(fc.integer({ min: 1, max: 10_000_000 }), { nil: undefined }),
  })
  .map(({ layers, headsKv, headLength, slidingWindow, experts, recurrentStateBytes, ...shape }) => ({
    ...llama8b,
    ...shape,
    parameterCount: shape.weightBytes,
    layerCount: layers,
    headCountKv: new Array<number>(layers).fill(headsKv),
    keyLength: headLength,
    valueLength: headLength,
    layerBytes: new Array<number>(layers).fill(Math.floor(shape.weightBytes / layers)),
    ...(slidingWindow !== undefined && {
      slidingWindow,
      slidingLayers: Array.from({ length: layers }, (_, layer) => layer % 6 < 5),
    }),
    ...(experts !== undefined && { expertCount: 8, expertUsedCount: experts }),
    ...(recurrentStateBytes !== undefined && { recurrentStateBytes }),
  }))

/** What an instance may be asked to run with. */
export const wishes = fc.record({
  contextLength: fc.integer({ min: 4, max: 131072 }),
  slots: fc.integer({ min: 1, max: 8 }),
  batchSize: fc.integer({ min: 1, max: 2048 }),
  kvCacheType: fc.constantFrom('f16', 'q8_0', 'q4_0'),
  flashAttention: fc.constantFrom('auto' as const, 'on' as const, 'off' as const),
  embedding: fc.boolean(),
})
