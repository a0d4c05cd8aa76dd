/**
 * Is the memory that Drover predicts for a model what llama.cpp takes? Synthetic models of several architectures are
 * loaded by a real llama-server, one at a time, and its own lines about buffers are held against the prediction: first
 * as it is, then with what one load of the same model, run otherwise, has taught.
 *
 *   node bench/memory.ts [--only gemma3] [--all]
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  type Corrections,
  correctionsFor,
  learn,
  type MemoryByKind,
  type MemoryKey,
} from '../src/placement/index.ts'
import {
  byKind,
  type ObservedRun,
  observeMemory,
  predictMemory,
  totalOf,
} from '../test/support/engine-memory.ts'
import { type SyntheticShape, writeSyntheticGguf } from '../tools/synthetic.ts'
import { machineLine } from './support/process.ts'
import { scratchFolder } from './support/servers.ts'
import { median, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: { only: { type: 'string' }, all: { type: 'boolean', default: false } },
})

const small: SyntheticShape = {
  layers: 6,
  dim: 512,
  heads: 8,
  kvHeads: 2,
  headDim: 64,
  ffn: 1536,
  vocab: 8192,
  context: 16_384,
}
const models: Record<string, SyntheticShape> = {
  llama: { ...small, architecture: 'llama' },
  'llama deep': {
    ...small,
    architecture: 'llama',
    layers: 20,
    dim: 256,
    headDim: 32,
    ffn: 768,
    vocab: 32_768,
  },
  'llama experts': { ...small, architecture: 'llama', experts: 8, ffn: 512 },
  'llama wide': { ...small, architecture: 'llama', layers: 3, dim: 1024, heads: 16, kvHeads: 4, ffn: 2816 },
  'llama one head': { ...small, architecture: 'llama', kvHeads: 1, headDim: 128 },
  'llama all heads': { ...small, architecture: 'llama', kvHeads: 8 },
  qwen2: { ...small, architecture: 'qwen2', kvHeads: 4 },
  'qwen2 words': { ...small, architecture: 'qwen2', kvHeads: 2, layers: 3, vocab: 60_000 },
  qwen3: { ...small, architecture: 'qwen3', headDim: 128 },
  'qwen3 narrow': { ...small, architecture: 'qwen3', dim: 256, heads: 16, kvHeads: 8, layers: 16 },
  'qwen3 experts': { ...small, architecture: 'qwen3', experts: 16, ffn: 256 },
  gemma2: { ...small, architecture: 'gemma2', window: 1024 },
  gemma3: { ...small, architecture: 'gemma3', layers: 12, headDim: 128, window: 512, vocab: 16_384 },
  'gemma3 deep': {
    ...small,
    architecture: 'gemma3',
    layers: 26,
    dim: 256,
    heads: 4,
    kvHeads: 1,
    ffn: 1024,
    window: 1024,
  },
  phi2: { ...small, architecture: 'phi2', kvHeads: 8 },
  deepseek2: { ...small, architecture: 'deepseek2', experts: 8, ffn: 512 },
  'gpt-oss': { ...small, architecture: 'gpt-oss', experts: 8, ffn: 512, window: 512 },
  'gpt-oss deep': {
    ...small,
    architecture: 'gpt-oss',
    layers: 14,
    dim: 256,
    experts: 4,
    ffn: 256,
    window: 1024,
  },
  mamba: { ...small, architecture: 'mamba', ffn: 256 },
  // Sizes that are no round numbers.
  'llama odd': {
    ...{ ...small, architecture: 'llama', layers: 5, dim: 768, heads: 16, kvHeads: 16, headDim: 96 },
    ...{ ffn: 1792, vocab: 12_345 },
  },
  'gemma3 odd': {
    ...{ ...small, architecture: 'gemma3', layers: 7, heads: 4, kvHeads: 4, headDim: 192, ffn: 1280 },
    ...{ vocab: 7498, window: 300 },
  },
  'qwen3 many experts': { ...small, architecture: 'qwen3', layers: 4, experts: 64, usedExperts: 8, ffn: 256 },
  qwen2moe: { ...small, architecture: 'qwen2moe', experts: 12, usedExperts: 4, ffn: 256 },
  granite: { ...small, architecture: 'granite', kvHeads: 4 },
  'granite experts': { ...small, architecture: 'granite', experts: 32, usedExperts: 8, ffn: 256 },
  mistral3: { ...small, architecture: 'mistral3', headDim: 128 },
  olmo2: { ...small, architecture: 'olmo2', kvHeads: 8, window: 1024 },
  exaone4: { ...small, architecture: 'exaone4' },
  glm4: { ...small, architecture: 'glm4', headDim: 128, vocab: 20_000 },
  cohere2: { ...small, architecture: 'cohere2', layers: 8, window: 1024, vocab: 20_000 },
  lfm2: { ...small, architecture: 'lfm2', layers: 9 },
  bert: { ...small, architecture: 'bert', kvHeads: 8 },
  // Of a name with Phi in it llama.cpp expects Phi's own special tokens.
  phi3: { ...small, architecture: 'phi3', name: 'one matrix' },
}
const kinds = ['weightsBytes', 'kvCacheBytes', 'computeBytes'] as const
const types = ['F16', 'Q8_0', 'Q4_K'] as const

const run: ObservedRun = {
  contextLength: 4096,
  slots: 1,
  kvCacheType: 'f16',
  batchSize: 512,
  flashAttention: 'auto',
}
const runs: ObservedRun[] = [
  run,
  { ...run, contextLength: 1024, slots: 4, flashAttention: 'on' },
  { ...run, contextLength: 8192, slots: 2, kvCacheType: 'q8_0' },
  { ...run, contextLength: 2048, slots: 2, flashAttention: 'off' },
  { ...run, contextLength: 6000, kvCacheType: 'q4_0', batchSize: 256 },
  { ...run, contextLength: 4096, slots: 3, batchSize: 1024 },
  { ...run, contextLength: 1000, flashAttention: 'off', kvCacheType: 'q8_0', batchSize: 128 },
  { ...run, contextLength: 16_384, batchSize: 64 },
  { ...run, contextLength: 1500, slots: 7, batchSize: 300 },
  { ...run, contextLength: 300, batchSize: 2048, kvCacheType: 'bf16' },
  { ...run, contextLength: 3000, slots: 5, kvCacheType: 'q5_1', batchSize: 333, flashAttention: 'on' },
]

interface Outcome {
  name: string
  type: string
  run: string
  seen: MemoryByKind
  plain: MemoryByKind
  learned?: MemoryByKind
}

const folder = scratchFolder()
const outcomes: Outcome[] = []
console.log(`${machineLine()}\n`)
const chosen = Object.entries(models).filter(
  ([name]) => flags.only === undefined || name.includes(flags.only),
)
for (const [row, [name, shape]] of chosen.entries()) {
  for (const [column, type] of types.entries())
    outcomes.push(...(await measure(name, { ...shape, type }, row + column)))
}
report()

/** Two runs of a model: the first one is learned of for the other. With `--all`, every run. */
async function measure(name: string, shape: SyntheticShape, offset: number): Promise<Outcome[]> {
  const path = join(folder, 'model.gguf')
  await writeSyntheticGguf(path, shape, { sparse: true })
  const count = flags.all ? runs.length : 2
  const results: Outcome[] = []
  let corrections: Corrections | undefined
  for (let index = 0; index < count; index++) {
    const next = runs[(offset * 3 + index) % runs.length] ?? run
    const asked = askedOf(shape, next)
    const seen = byKind(await observeMemory(path, asked))
    const { shape: read, fileType, memory: plain } = await predictMemory(path, asked)
    const learned = corrections && (await predictMemory(path, asked, corrections)).memory
    results.push({
      name,
      type: shape.type ?? '',
      run: describe(asked),
      seen,
      plain,
      ...(learned && { learned }),
    })
    const key: MemoryKey = { model: name, architecture: read.architecture, fileType, backend: 'cpu' }
    corrections ??= correctionsFor(learn({}, key, plain, seen), key)
  }
  rmSync(path)
  return results
}

/** A run that llama-server accepts of such a model. */
function askedOf({ architecture }: SyntheticShape, next: ObservedRun): ObservedRun {
  // An embedding's input is one batch; llama-server 0.7.0 fails where it cannot be divided among the slots.
  if (architecture === 'bert') {
    const contextLength = Math.floor(Math.min(next.contextLength, 2000) / next.slots) * next.slots
    return { ...next, contextLength, batchSize: contextLength, embedding: true }
  }
  // Latent attention has one type for both, and without flash attention only f16.
  const plain16 = architecture === 'deepseek2' && next.flashAttention === 'off'
  return plain16 ? { ...next, kvCacheType: 'f16' } : next
}

function describe({ contextLength, slots, kvCacheType, batchSize, flashAttention }: ObservedRun): string {
  return `${slots} x ${contextLength}, ${kvCacheType}, batch ${batchSize}, flash ${flashAttention}`
}

function report(): void {
  const errorOf = (predicted: number, seen: number) => (seen > 0 ? predicted / seen - 1 : 0)
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`
  const mib = (value: number) => (value / 2 ** 20).toFixed(2)
  const rows = outcomes.map(({ name, type, run, seen, plain, learned }) => [
    ...[name, type, run, mib(totalOf(seen)), mib(totalOf(plain))],
    ...kinds.map((kind) => percent(errorOf(plain[kind], seen[kind]))),
    percent(errorOf(totalOf(plain), totalOf(seen))),
    learned ? percent(errorOf(totalOf(learned), totalOf(seen))) : '',
  ])
  printTable([
    ['model', 'type', 'run', 'seen MiB', 'predicted', 'weights', 'KV', 'compute', 'total', 'learned'],
    ...rows,
  ])
  const lines = (title: string, errors: readonly number[]) => [
    title,
    percent(median(errors.map(Math.abs))),
    percent(Math.max(...errors.map(Math.abs))),
    percent(Math.max(0, ...errors.map((error) => -error))),
  ]
  console.log(`\n${outcomes.length} loads of ${chosen.length * types.length} models`)
  const learnedOutcomes = outcomes.flatMap(({ learned, seen }) =>
    learned ? [[totalOf(learned), totalOf(seen)] as const] : [],
  )
  printTable([
    ['error of', 'median', 'worst', 'worst under-estimate'],
    ...kinds.map((kind) =>
      lines(
        kind,
        outcomes.map(({ plain, seen }) => errorOf(plain[kind], seen[kind])),
      ),
    ),
    lines(
      'total',
      outcomes.map(({ plain, seen }) => errorOf(totalOf(plain), totalOf(seen))),
    ),
    ...(learnedOutcomes.length > 0
      ? [
          lines(
            'total, one load learned',
            learnedOutcomes.map(([a, b]) => errorOf(a, b)),
          ),
        ]
      : []),
  ])
  console.log(
    '\nwanted of the total: median at most 2 %, worst at most 8 %, under by at most 3 %; learned at most 1 %',
  )
}
