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
    const compute = estimateMemory(llama8b, { ...wish, batchLogits: true }).computeBytes / mib
    expect(compute).toBeGreaterThan(258.5)
    expect(compute).toBeLessThan(310)
    expect(memory.computeBytes / mib).toBeLessThan(compute / 1.5)
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
      const memory = estimateMemory(small, asked)
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

  it('refuses a type of the cache that does not exist', () => {
    expect(() => estimateMemory(llama8b, { ...wish, kvCacheType: 'q9' })).toThrow(
      'unknown KV cache type "q9"',
    )
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
            { ...asked, slots: asked.slots + slots },
            { ...asked, batchSize: asked.batchSize + batch },
          ]) {
            expect(estimateMemory(shape, larger).totalBytes).toBeGreaterThanOrEqual(smaller.totalBytes)
          }
        },
      ),
    )
  })
})
