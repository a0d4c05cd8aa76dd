import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gguf } from '@huggingface/gguf'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { benchmarkPrompt, sizesFor, writeBenchmarkModel } from './model.ts'

const never = new AbortController().signal

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-benchmark-model-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the benchmark model', () => {
  it.each([2e6, 5e6, 20e6])(
    'has about the %d bytes that were asked for, nearly all of them read a token',
    async (bytes) => {
      const model = await writeBenchmarkModel(folder, bytes, never)
      expect(model.bytes).toBe((await stat(model.path)).size)
      expect(model.bytes / bytes).toBeGreaterThan(0.7)
      expect(model.bytes / bytes).toBeLessThan(1.4)
      expect(model.bytesReadPerToken / model.bytes).toBeGreaterThan(0.85)
      expect(model.bytesReadPerToken).toBeLessThan(model.bytes)
    },
  )

  it('counts as read what its file says of its tensors, without the embeddings', async () => {
    const { path, bytesReadPerToken } = await writeBenchmarkModel(folder, 5e6, never)
    const { tensorInfos, metadata } = await gguf(path, { allowLocalFile: true })
    const matrices = tensorInfos.filter(({ name, n_dims }) => n_dims === 2 && name !== 'token_embd.weight')
    const weights = matrices.reduce(
      (sum, { shape }) => sum + shape.reduce((size, n) => size * Number(n), 1),
      0,
    )
    expect((weights / 32) * 34).toBe(bytesReadPerToken)
    expect(metadata).toMatchObject({
      'general.architecture': 'llama',
      'llama.block_count': sizesFor(5e6).layers,
    })
  })

  it('has layers as wide as leave at least two of them', () => {
    expect(sizesFor(128e6)).toMatchObject({ dim: 2048, layers: 2 })
    expect(sizesFor(500e6)).toMatchObject({ dim: 4096, layers: 2 })
    expect(sizesFor(1e9)).toMatchObject({ dim: 4096, layers: 4 })
    expect(sizesFor(1)).toMatchObject({ dim: 256, layers: 1 })
  })

  it('is not begun where the disk has no room for it', async () => {
    const empty = await mkdtemp(join(folder, 'full-'))
    await expect(writeBenchmarkModel(empty, 1e15, never)).rejects.toThrow(
      /takes \d+ MB, and .*full-.* has \d+ MB free: make room/,
    )
    expect(await readdir(empty)).toEqual([])
  })

  it('is given up when nobody wants it any more', async () => {
    const abort = new AbortController()
    const writing = writeBenchmarkModel(folder, 100e6, abort.signal)
    abort.abort(new Error('enough'))
    await expect(writing).rejects.toThrow('enough')
  })
})

describe('a benchmark prompt', () => {
  it('is as long as asked for, of printable characters, and begins as none of the next 90 does', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2048 }), fc.nat(10_000), (length, seed) => {
        const prompt = benchmarkPrompt(length, seed)
        expect(prompt).toHaveLength(length)
        expect(Math.min(...prompt)).toBeGreaterThanOrEqual(3 + 0x20)
        expect(Math.max(...prompt)).toBeLessThanOrEqual(3 + 0x7e)
        for (const later of [1, 8, 90]) expect(benchmarkPrompt(1, seed + later)[0]).not.toBe(prompt[0])
      }),
    )
  })
})
