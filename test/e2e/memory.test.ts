import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { askFitParams } from '../../src/engines/index.ts'
import { correctionsFor, learn, type MemoryKey } from '../../src/placement/index.ts'
import { type SyntheticShape, writeSyntheticGguf } from '../../tools/synthetic.ts'
import { post, startDrover } from '../support/drover.ts'
import { byKind, type ObservedRun, observeMemory, predictMemory, totalOf } from '../support/engine-memory.ts'
import { engineEnv } from '../support/engines.ts'
import { ensureLlamaServer, testEnginesDir } from '../support/llama-server.ts'

const small: SyntheticShape = {
  layers: 6,
  dim: 256,
  heads: 8,
  kvHeads: 2,
  headDim: 64,
  ffn: 768,
  vocab: 8192,
}
const run: ObservedRun = {
  contextLength: 2048,
  slots: 2,
  kvCacheType: 'f16',
  batchSize: 512,
  flashAttention: 'auto',
}
const loads: [name: string, shape: SyntheticShape, run: ObservedRun][] = [
  ['a llama in F16', { ...small, type: 'F16' }, run],
  ['a llama in Q4_K without flash attention', { ...small, type: 'Q4_K' }, { ...run, flashAttention: 'off' }],
  [
    'qwen3 with experts and a quantised cache',
    { ...small, architecture: 'qwen3', experts: 8 },
    { ...run, kvCacheType: 'q8_0' },
  ],
  [
    'gemma3 with its windows',
    { ...small, architecture: 'gemma3', window: 512 },
    { ...run, contextLength: 4096 },
  ],
  [
    'phi2 with a small batch',
    { ...small, architecture: 'phi2', headDim: 32, kvHeads: 8 },
    { ...run, batchSize: 128 },
  ],
  [
    'deepseek2 with its latents',
    { ...small, architecture: 'deepseek2', experts: 4, ffn: 256, dim: 512 },
    run,
  ],
  ['mamba with its states', { ...small, architecture: 'mamba' }, { ...run, slots: 8 }],
]

describe('memory, predicted and as llama-server tells it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'drover-memory-'))
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it.each(loads)('of %s agrees within 2 in 100', { timeout: 60_000 }, async (name, shape, asked) => {
    const path = join(folder, `${name}.gguf`)
    await writeSyntheticGguf(path, { context: 8192, ...shape }, { sparse: true })
    const seen = byKind(await observeMemory(path, asked))
    const { memory, shape: read, fileType } = await predictMemory(path, asked)
    expect(memory.kvCacheBytes / seen.kvCacheBytes).toBeCloseTo(1, 2)
    expect(Math.abs(memory.computeBytes / seen.computeBytes - 1)).toBeLessThan(0.03)
    expect(Math.abs(totalOf(memory) / totalOf(seen) - 1)).toBeLessThan(0.02)
    const key: MemoryKey = { model: name, architecture: read.architecture, fileType, backend: 'cpu' }
    const corrections = correctionsFor(learn({}, key, memory, seen), key)
    const corrected = (await predictMemory(path, asked, corrections)).memory
    expect(Math.abs(totalOf(corrected) / totalOf(seen) - 1)).toBeLessThan(0.001)
  })

  it('is learned by a Drover from what it has loaded', { timeout: 60_000 }, async () => {
    const home = join(folder, 'home')
    const env = { ...(await engineEnv('llama.cpp')), DROVER_HOME: home }
    const drover = await startDrover({ env })
    try {
      const answer = await post(`${drover.url}/api/generate`, {
        model: 'drover',
        prompt: 'x',
        options: { num_predict: 1 },
      })
      expect(answer.status).toBe(200)
    } finally {
      await drover.stop()
    }
    const { learned } = JSON.parse(await readFile(join(home, 'learned-memory.json'), 'utf8'))
    const [exact] = Object.entries<Record<string, number>>(learned)
    expect(exact?.[0]).toMatch(/^model sha256-[0-9a-f]{64} llama\.cpp cpu$/)
    for (const kind of ['weights', 'kvCache', 'compute']) {
      expect(Math.abs((exact?.[1][kind] ?? 0) - 1)).toBeLessThan(0.05)
    }
  })

  it("has llama.cpp's own figure beside it, to the whole MiB", { timeout: 60_000 }, async () => {
    const path = join(folder, 'asked.gguf')
    await writeSyntheticGguf(path, { ...small, type: 'F16', context: 8192 }, { sparse: true })
    const opinion = await askFitParams(
      { serverPath: await ensureLlamaServer(), enginesDir: testEnginesDir },
      {
        ...{
          id: '1',
          modelName: 'm',
          modelPath: path,
          projectorPaths: [],
          adapterPaths: [],
          embedding: false,
        },
        ...{ contextLength: 2048, slots: 2, gpuLayers: 0, flashAttention: 'auto', kvCacheType: 'f16' },
        ...{ contextShift: false, stallTimeoutMs: 1000 },
      },
    )
    const { memory } = await predictMemory(path, run)
    const [host] = opinion?.devices ?? []
    expect(host?.name).toBe('Host')
    expect((host?.kvCacheBytes ?? 0) / memory.kvCacheBytes).toBeCloseTo(1, 1)
    expect(
      await askFitParams({ serverPath: '/nowhere/llama-server', enginesDir: folder }, {} as never),
    ).toBeUndefined()
  })
})
