import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ModelShape } from '../../models/index.ts'
import { llama8b, shapes, wishes } from '../testing.ts'
import { estimateMemory } from './estimate.ts'

const mib = 2 ** 20
const wish = { contextLength: 8192, slots: 1 }

describe('the estimate of an instance', () => {
  it('is that of llama.cpp for an 8 billion Llama at 8192 tokens', () => {
    const memory = estimateMemory(llama8b, wish)
    expect(memory.weightsBytes).toBe(llama8b.weightBytes)
    // 32 layers * 8192 cells * 8 heads * 128 * (K + V) * 2 bytes: llama.cpp logs "KV self size = 1024.00 MiB".
    expect(memory.kvCacheBytes).toBe(1024 * mib)
    // Versions that reserve the logits of a batch (250.5 MiB) log a compute buffer of 258.5 MiB.
    const onCpu = { ...wish, cpu: { amx: false } }
    const compute = estimateMemory(llama8b, { ...onCpu, batchLogits: true }).computeBytes / mib
    expect(compute).toBeGreaterThan(258.5)
    expect(compute).toBeLessThan(310)
    expect(estimateMemory(llama8b, onCpu).computeBytes / mib).toBeLessThan(compute / 1.5)
    expect(memory.totalBytes).toBe(memory.weightsBytes + memory.kvCacheBytes + memory.computeBytes)
  })

  it('is within 5 % of what llama.cpp 0.7 allocates for a small Llama, on the CPU', () => {
    // 14 layers of 12 heads of 64, 768 wide, Q8_0. Its log: KV buffer, compute buffer and output buffer in MiB.
    const small: ModelShape = {
      ...llama8b,
      layerCount: 14,
      contextLength: 8192,
      embeddingLength: 768,
      feedForwardLength: 2048,
      headCount: 12,
      headCountKv: new Array<number>(14).fill(12),
      keyLength: 64,
      valueLength: 64,
      vocabularySize: 8192,
      weightBytes: 118_742_016,
    }
    const seen: [Parameters<typeof estimateMemory>[1], cacheMib: number, computeMib: number][] = [
      [{ contextLength: 4096, slots: 4 }, 672, 23.52 + 0.12],
      [{ contextLength: 4096, slots: 1, flashAttention: 'off' }, 168, 116.01 + 0.03],
      [{ contextLength: 4096, slots: 2, kvCacheType: 'q8_0', flashAttention: 'on' }, 178.5, 23.55 + 0.06],
    ]
    for (const [asked, cacheMib, computeMib] of seen) {
      const memory = estimateMemory(small, { ...asked, cpu: { amx: false } })
      expect(memory.kvCacheBytes).toBe(cacheMib * mib)
      expect(memory.computeBytes / mib / computeMib).toBeGreaterThan(1)
      expect(memory.computeBytes / mib / computeMib).toBeLessThan(1.05)
    }
  })

  it('takes the context in steps of 256 tokens, and each slot its own', () => {
    const cache = (contextLength: number, slots: number) =>
      estimateMemory(llama8b, { contextLength, slots }).kvCacheBytes
    expect(cache(8000, 1)).toBe(cache(8192, 1))
    expect(cache(8192, 4)).toBe(4 * cache(8192, 1))
  })

  it('shrinks the cache by its type, but values only with flash attention', () => {
    const cache = (kvCacheType: string, flashAttention?: 'on' | 'off') =>
      estimateMemory(llama8b, { ...wish, kvCacheType, flashAttention }).kvCacheBytes / mib
    expect(cache('f16')).toBe(1024)
    expect(cache('q8_0')).toBe(544)
    expect(cache('q4_0')).toBe(288)
    expect(cache('q8_0', 'on')).toBe(544)
    expect(cache('q8_0', 'off')).toBe(512 + 272)
  })

  it('needs the scores of every head without flash attention', () => {
    const long = { contextLength: 32768, slots: 1 }
    const on = estimateMemory(llama8b, long).computeBytes
    const off = estimateMemory(llama8b, { ...long, flashAttention: 'off' }).computeBytes
    // 32 heads * 32768 * 512 * 4 bytes are 2 GiB.
    expect(off - on).toBeGreaterThan(1700 * mib)
  })

  it('keeps no more than the window in sliding layers', () => {
    const sliding: ModelShape = {
      ...llama8b,
      slidingWindow: 1024,
      slidingLayers: llama8b.headCountKv.map((_, layer) => layer % 2 === 0),
    }
    const perCell = (1024 * mib) / 8192
    expect(estimateMemory(sliding, wish).kvCacheBytes).toBe((perCell * (8192 + 1536)) / 2)
    expect(estimateMemory(sliding, { contextLength: 512, slots: 1 }).kvCacheBytes).toBe(perCell * 512)
  })

  it('keeps a state of fixed size for each slot of a recurrent model', () => {
    const mamba: ModelShape = {
      ...llama8b,
      headCountKv: llama8b.headCountKv.map(() => 0),
      recurrentStateBytes: mib,
    }
    expect(estimateMemory(mamba, { contextLength: 100_000, slots: 3 }).kvCacheBytes).toBe(3 * mib)
  })

  it('makes no logits for embeddings', () => {
    const asked = { ...wish, batchSize: 2048, batchLogits: true }
    expect(estimateMemory(llama8b, { ...asked, embedding: true }).computeBytes).toBeLessThan(
      estimateMemory(llama8b, asked).computeBytes / 1.5,
    )
  })

  it('packs weights larger for AMX, by their types, and copies a tied embedding only where it must', () => {
    const layer = {
      ...{
        bytes: 3600,
        expertBytes: 0,
        parameters: 1,
        expertParameters: 0,
        feedForwardLength: 64,
        expertCount: 0,
      },
      matrixBytes: { Q8_0: 3400, F16: 200 },
    }
    const shape: ModelShape = {
      ...llama8b,
      weightBytes: 32 * 3600 + 1000 + 8,
      layers: llama8b.layerBytes.map(() => layer),
      inputBytes: 1000,
      outputBytes: 8,
      tiedEmbeddings: true,
      outputType: 'F16',
    }
    const weights = (cpu?: { amx: boolean }, more: Partial<ModelShape> = {}) =>
      estimateMemory({ ...shape, ...more }, { ...wish, cpu }).weightsBytes
    expect(weights({ amx: false })).toBe(shape.weightBytes)
    expect(weights({ amx: true })).toBe(shape.weightBytes + 1000 + 32 * 400)
    expect(weights()).toBe(shape.weightBytes + 1000)
    // A quantised one is kept in another order, and so twice, by any CPU.
    expect(weights({ amx: false }, { outputType: 'Q4_0' })).toBe(shape.weightBytes + 1000)
  })

  it('keeps nothing of a text that is seen all at once', () => {
    expect(estimateMemory({ ...llama8b, architecture: 'bert' }, wish).kvCacheBytes).toBe(0)
  })

  it('keeps no cache in layers that use that of earlier ones, and other lengths in windows', () => {
    const perLayer = (1024 * mib) / 32
    expect(estimateMemory({ ...llama8b, sharedKvLayers: 12 }, wish).kvCacheBytes).toBe(20 * perLayer)
    const sliding = {
      slidingWindow: 100_000,
      slidingLayers: llama8b.headCountKv.map((_, layer) => layer < 16),
    }
    expect(
      estimateMemory({ ...llama8b, ...sliding, slidingKeyLength: 64, slidingValueLength: 64 }, wish)
        .kvCacheBytes,
    ).toBe(16 * perLayer + (16 * perLayer) / 2)
  })

  it('refuses a type of the cache that does not exist', () => {
    expect(() => estimateMemory(llama8b, { ...wish, kvCacheType: 'q9' })).toThrow(
      'unknown KV cache type "q9"',
    )
  })

  it('packs nothing of a head whose rows do not come in 32s, nor otherwise orders what does not come in 8s', () => {
    const head = { tiedEmbeddings: true, inputBytes: 34_000_000, outputBytes: 0, weightBytes: 34_000_000 }
    const weights = (vocabularySize: number, outputType: string, amx: boolean) =>
      estimateMemory(
        { ...llama8b, ...head, layerBytes: [0], vocabularySize, outputType },
        { ...wish, cpu: { amx } },
      ).weightsBytes
    // As llama-server 0.7.0 does it: copied and packed, copied in another order, or neither.
    expect(weights(7488, 'Q8_0', true)).toBe(34_000_000 + 38_000_000)
    expect(weights(7498, 'Q8_0', true)).toBe(34_000_000)
    expect(weights(7496, 'Q4_0', true)).toBe(68_000_000)
    expect(weights(7496, 'Q4_0', false)).toBe(68_000_000)
    expect(weights(7498, 'Q4_0', false)).toBe(34_000_000)
  })

  it('never falls when context, slots or batch grow, and is always a whole number of bytes', () => {
    fc.assert(
      fc.property(
        shapes,
        wishes,
        fc.nat(5000),
        fc.nat(3),
        fc.nat(1000),
        (shape, asked, context, slots, batch) => {
          const smaller = estimateMemory(shape, asked)
          expect(Number.isSafeInteger(smaller.totalBytes)).toBe(true)
          expect(smaller.totalBytes).toBeGreaterThanOrEqual(shape.weightBytes)
          for (const larger of [
            { ...asked, contextLength: asked.contextLength + context },
            // Buffers are for as many tokens of each slot, so that a batch may be rounded up more with fewer slots.
            { ...asked, slots: asked.slots * (1 + slots) },
            { ...asked, batchSize: asked.batchSize + batch },
          ]) {
            expect(estimateMemory(shape, larger).totalBytes).toBeGreaterThanOrEqual(smaller.totalBytes)
          }
        },
      ),
    )
  })
})
