import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GgufMetadata, gguf, type ModelStore, openStore, writeGguf } from '../../models/index.ts'
import { findFamous, type Inventory, parseGpuList } from '../../placement/index.ts'
import { type ExaminedModel, examineStore } from './examine.ts'
import { examinationTable } from './table.ts'
import { examineTogether } from './together.ts'

const width = 256
const tokens = Array.from({ length: 32 }, (_, index) => `t${index}`)

const metadata = (architecture: string): GgufMetadata => ({
  'general.architecture': gguf.string(architecture),
  'general.name': gguf.string('Tiny'),
  'general.file_type': gguf.uint32(1),
  [`${architecture}.block_count`]: gguf.uint32(2),
  [`${architecture}.context_length`]: gguf.uint32(2048),
  [`${architecture}.embedding_length`]: gguf.uint32(width),
  [`${architecture}.feed_forward_length`]: gguf.uint32(2 * width),
  [`${architecture}.attention.head_count`]: gguf.uint32(4),
  [`${architecture}.attention.head_count_kv`]: gguf.uint32(4),
  'tokenizer.ggml.model': gguf.string('llama'),
  'tokenizer.ggml.tokens': gguf.strings(tokens),
})

const f16 = (name: string, ...shape: [number, number]) => ({
  name,
  type: 'F16' as const,
  shape,
  data: () => [new Uint8Array(2 * shape[0] * shape[1])],
})

const tensors = [
  f16('token_embd.weight', width, tokens.length),
  ...[0, 1].map((layer) => f16(`blk.${layer}.attn_q.weight`, width, width)),
  f16('output.weight', width, tokens.length),
]

let home = ''
let store: ModelStore
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'drover-examine-'))
  store = await openStore({ root: join(home, 'models'), log: { warn: () => undefined } })
  for (const architecture of ['llama', 'gptoss']) {
    const path = join(home, `${architecture}.gguf`)
    await writeGguf(path, { metadata: metadata(architecture), tensors })
    await store.importGguf(architecture, { path })
  }
})
afterAll(() => rm(home, { recursive: true, force: true }))

const examine = (inventory: Inventory) =>
  examineStore({
    store,
    inventory,
    maxLoadedModels: 0,
    digests: true,
    signal: AbortSignal.timeout(20_000),
    onProgress: () => undefined,
  })
const byName = (models: ExaminedModel[], name: string) =>
  models.find((model) => model.name === `${name}:latest`)

describe('the examination of a store', () => {
  it('plans what llama.cpp reads, and says of other files what to do', async () => {
    const { models } = await examine(parseGpuList('1x4090'))
    expect(models.map(({ name }) => name)).toEqual(['gptoss:latest', 'llama:latest'])
    const plan = byName(models, 'llama')?.plan
    expect(plan).toMatchObject({ strategy: 'single', engine: 'llama.cpp', instances: 1 })
    expect(plan?.devices).toMatchObject([{ kind: 'gpu', layers: 2 }])
    expect(plan?.decodeTokensPerS).toBeGreaterThan(0)
    expect(byName(models, 'gptoss')).toMatchObject({
      state: 'foreign',
      problems: [{ text: expect.stringContaining('"gptoss"'), advice: expect.stringContaining('hf.co/') }],
    })
  })

  it('says what would help a model that fits nowhere', async () => {
    const host = { id: 'h', usableBytes: 1000, memoryBytesPerS: 1e10, flopsPerS: 1e11, rpc: false }
    const { models } = await examine({ nodes: [{ ...host, engines: ['llama.cpp'] }], devices: [], links: [] })
    const found = byName(models, 'llama')
    expect(found).toMatchObject({ state: 'too_large' })
    expect(found?.plan).toBeUndefined()
    expect(found?.problems[0]?.text).not.toBe('')
  })

  it('tells a damaged model from a good one, in a table for people', async () => {
    const { modelPath = '' } = (await store.find('gptoss')) ?? {}
    await writeFile(modelPath, 'not a model')
    const examination = await examine(parseGpuList('2x4090'))
    expect(byName(examination.models, 'gptoss')).toMatchObject({ state: 'broken' })
    expect(byName(examination.models, 'llama')).toMatchObject({ state: 'fits' })
    const lines = examinationTable(examination).split('\n')
    expect(lines[1]).toMatch(/^gptoss:latest +\S+ KB +- +broken +- +- +-/)
    expect(lines[2]).toMatch(/^llama:latest +\S+ KB +F16 +fits +.*GPU.*, llama.cpp +\d+ tok\/s +\d+ x \d+/)
    expect(lines.some((line) => /^! gptoss:latest: its model blob sha256:\w+ has 11 bytes/.test(line))).toBe(
      true,
    )
    expect(lines.at(-2)).toMatch(/^1 of 2 models in .* can run here\./)
  })

  it('says which models can be loaded at the same time, and who takes turns', async () => {
    const names = ['qwen3:32b', 'llama3.1:8b', 'llama3.1:8b-instruct', 'qwen3:4b']
    const fitting = names.flatMap((name) => {
      const model = findFamous(name)
      return model ? [{ model, key: name.replace('-instruct', '') }] : []
    })
    const inventory = parseGpuList('3090')
    const nodes = inventory.nodes.map((node) => ({ ...node, usableBytes: 4 * 2 ** 30 }))
    const together = examineTogether(fitting, { ...inventory, nodes }, 1)
    expect(together).toMatchObject({
      models: [
        { name: 'llama3.1:8b', aliases: ['llama3.1:8b-instruct'], sharesWith: ['qwen3:4b'] },
        { name: 'qwen3:4b', aliases: [], sharesWith: ['llama3.1:8b'] },
      ],
      leftOut: [{ name: 'qwen3:32b', evicts: ['qwen3:4b', 'llama3.1:8b'] }],
      maxLoadedModels: 1,
    })
    const none = { blobs: 0, bytes: 0 }
    const { models } = await examine(inventory)
    const text = examinationTable({
      root: '/m',
      models,
      ...(together && { together }),
      unused: none,
      partial: none,
    })
    expect(text).toContain('At the same time 2 of 3 models can be loaded:\n')
    expect(text).toMatch(/\nqwen3:4b +single on 1 GPU, llama\.cpp +\d+ tok\/s +1 x \d+ +gpu0 +llama3\.1:8b/)
    expect(text).toContain('! qwen3:32b: beside llama3.1:8b, qwen3:4b: ')
    expect(text).toContain('A server has at most 1 model loaded at once')
  })

  it('says so where there is no model', () => {
    const none = { blobs: 0, bytes: 0 }
    expect(examinationTable({ root: '/models', models: [], unused: none, partial: none })).toBe(
      '/models has no models\n',
    )
  })
})
