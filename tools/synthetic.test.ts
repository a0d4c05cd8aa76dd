import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gguf as readGguf } from '@huggingface/gguf'
import { getLlama, type Llama } from 'node-llama-cpp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { architectures } from './synthetic/architectures.ts'
import { randomTensor } from './synthetic/random-weights.ts'
import { syntheticVocabulary } from './synthetic/vocabulary.ts'
import { type SyntheticShape, writeSyntheticGguf } from './synthetic.ts'

let folder = ''
let llama: Llama
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-synthetic-'))
  llama = await getLlama({ build: 'never', skipDownload: true, gpu: false, maxThreads: 1 })
})
afterAll(async () => {
  await llama.dispose()
  await rm(folder, { recursive: true })
})

const small: SyntheticShape = { layers: 2, dim: 64, heads: 2, ffn: 128, vocab: 400, context: 256 }

const digest = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex')

async function generate(shape: SyntheticShape): Promise<number[]> {
  const path = join(folder, 'generating.gguf')
  await writeSyntheticGguf(path, shape)
  const model = await llama.loadModel({ modelPath: path })
  const context = await model.createContext({ contextSize: 64 })
  const tokens: number[] = []
  for await (const token of context
    .getSequence()
    .evaluate(model.tokenize('the other day'), { temperature: 0 })) {
    tokens.push(token)
    if (tokens.length === 12) break
  }
  await model.dispose()
  return tokens
}

describe('a synthetic model', () => {
  it('has the same bytes for the same seed and others for another', async () => {
    const [first, second, other] = ['first', 'second', 'other'].map((name) => join(folder, `${name}.gguf`))
    await writeSyntheticGguf(first ?? '', { ...small, seed: 7 })
    await writeSyntheticGguf(second ?? '', { ...small, seed: 7 })
    await writeSyntheticGguf(other ?? '', { ...small, seed: 8 })
    expect(await digest(second ?? '')).toBe(await digest(first ?? ''))
    expect(await digest(other ?? '')).not.toBe(await digest(first ?? ''))
  })

  it('declares the shape asked for', async () => {
    const path = join(folder, 'declared.gguf')
    await writeSyntheticGguf(path, { ...small, architecture: 'qwen3', kvHeads: 1, headDim: 48, experts: 4 })
    const { metadata } = await readGguf(path, { allowLocalFile: true })
    expect(metadata).toMatchObject({
      'general.architecture': 'qwen3moe',
      'qwen3moe.block_count': 2,
      'qwen3moe.embedding_length': 64,
      'qwen3moe.attention.head_count': 2,
      'qwen3moe.attention.head_count_kv': 1,
      'qwen3moe.attention.key_length': 48,
      'qwen3moe.expert_count': 4,
      'qwen3moe.context_length': 256,
    })
  })

  for (const architecture of ['llama', 'qwen2', 'qwen3', 'gemma2'] as const) {
    it(`generates in llama.cpp as ${architecture}`, async () => {
      const tokens = await generate({ ...small, architecture, kvHeads: 1 })
      expect(tokens).toHaveLength(12)
      expect(new Set(tokens).size).toBeGreaterThan(2)
    })
  }

  for (const type of ['F32', 'F16', 'BF16', 'Q4_0', 'Q8_0', 'Q4_K', 'Q6_K'] as const) {
    it(`generates in llama.cpp with ${type} weights`, async () => {
      const tokens = await generate({ ...small, dim: 256, ffn: 256, heads: 4, type })
      expect(new Set(tokens).size).toBeGreaterThan(2)
    })
  }

  it('generates in llama.cpp with experts', async () => {
    expect(new Set(await generate({ ...small, experts: 4 })).size).toBeGreaterThan(2)
  })

  for (const shape of [{ architecture: 'bert' }, { architecture: 'llama', embeddingModel: true }] as const) {
    it(`embeds in llama.cpp as ${shape.architecture}`, async () => {
      const path = join(folder, 'embedding.gguf')
      await writeSyntheticGguf(path, { ...small, ...shape })
      const model = await llama.loadModel({ modelPath: path })
      const context = await model.createEmbeddingContext({ contextSize: 64 })
      const { vector } = await context.getEmbeddingFor('the other day')
      expect(vector).toHaveLength(64)
      expect(new Set(vector).size).toBeGreaterThan(32)
      await model.dispose()
    })
  }

  it('takes no disk for its weights when sparse', async () => {
    const path = join(folder, 'sparse.gguf')
    const bytes = await writeSyntheticGguf(
      path,
      { layers: 80, dim: 8192, heads: 64, kvHeads: 8, vocab: 4096 },
      { sparse: true },
    )
    const { size, blocks } = await stat(path)
    expect(size).toBe(bytes)
    expect(size).toBeGreaterThan(50e9)
    expect(blocks * 512).toBeLessThan(4e6)
  })

  it('refuses shapes that no engine could load', () => {
    const path = join(folder, 'refused.gguf')
    expect(() => writeSyntheticGguf(path, { dim: 100, heads: 3 })).toThrow('no multiple of 3 heads')
    expect(() => writeSyntheticGguf(path, { dim: 128, type: 'Q4_K' })).toThrow('multiple of 256')
    expect(() => writeSyntheticGguf(path, { architecture: 'gemma2', experts: 2 })).toThrow(
      'gemma2 has no experts',
    )
    expect(() => writeSyntheticGguf(path, { vocab: 100 })).toThrow('at least 259 tokens')
  })
})

describe('its parts', () => {
  it('reach every vocabulary size with tokens that are all different', () => {
    for (const size of [259, 300, 1024, 32_000]) {
      const { tokens, merges, types } = syntheticVocabulary(size)
      expect(new Set(tokens).size).toBe(size)
      expect(types).toHaveLength(size)
      expect(merges).toHaveLength(size - 259)
    }
  })

  it('name no tensor twice in any architecture', () => {
    const sizes = {
      dim: 64,
      layers: 3,
      heads: 2,
      kvHeads: 2,
      headDim: 32,
      ffn: 128,
      vocab: 400,
      context: 64,
      experts: 0,
      usedExperts: 2,
      window: 32,
    }
    for (const architecture of Object.values(architectures)) {
      const names = architecture.tensors(sizes).map(({ name }) => name)
      expect(new Set(names).size).toBe(names.length)
    }
  })

  it('give random floats about the deviation asked for', () => {
    const [bytes = new Uint8Array()] = randomTensor('F32', [4096], 0.1, 3, 0)
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, 4096)
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)
    expect(deviation).toBeGreaterThan(0.06)
    expect(deviation).toBeLessThan(0.16)
  })
})
