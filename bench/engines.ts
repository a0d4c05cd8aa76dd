/**
 * The embedded engine against llama.cpp's own server: the same file, the same threads, prefill and decode at one
 * and at eight streams, measured in turns. Beside them the library that the embedded engine is built on, decoding by
 * its own plain loop: what is lost there, the engine cannot win back.
 *
 *   node bench/engines.ts [--threads 1] [--rounds 5] [--model FILE.gguf]
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  createEmbeddedEngine,
  createLlamaCppEngine,
  type Engine,
  type EngineInstance,
} from '../src/engines/index.ts'
import { answerOf, never, request } from '../test/support/llama-bench.ts'
import { ensureLlamaServer, testEnginesDir } from '../test/support/llama-server.ts'
import { writeSyntheticGguf } from '../tools/synthetic.ts'
import { openLibrary } from './support/library.ts'
import { machineLine } from './support/process.ts'
import { scratchFolder } from './support/servers.ts'
import { median, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: {
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '5' },
    model: { type: 'string' },
  },
})

/** About 100 million parameters. */
const shape = { layers: 14, dim: 768, heads: 12, ffn: 2048, vocab: 8192, context: 8192, endless: true }
const streamCounts = [1, 8]
const promptTokens = 512
const outputTokens = 96

const folder = scratchFolder()
const modelPath = flags.model ?? join(folder, 'synthetic.gguf')
if (flags.model === undefined) await writeSyntheticGguf(modelPath, shape)
const log = () => undefined
const serverPath = await ensureLlamaServer()
const engines: Engine[] = [
  createEmbeddedEngine({ log }),
  createLlamaCppEngine({ serverPath, enginesDir: testEnginesDir, runDir: join(folder, 'run'), log }),
]
const instances = await Promise.all(engines.map(launch))
const library = await openLibrary(modelPath, Number(flags.threads), Math.max(...streamCounts))

/** One figure, `embedded` first, one pair a round. */
const figures = new Map<string, [number, number][]>()
/** The library's decode rates and its native share of the time, by streams. */
const alone = new Map<number, { rates: number[]; shares: number[] }>(
  streamCounts.map((streams) => [streams, { rates: [], shares: [] }]),
)
for (let round = 0; round <= Number(flags.rounds); round++) {
  // Who goes first changes, so that neither always follows the other's heat.
  const order = round % 2 === 0 ? [0, 1] : [1, 0]
  for (const streams of streamCounts) {
    const pair: Speed[] = []
    for (const index of order) pair[index] = await measure(instances[index] as EngineInstance, streams, round)
    const [embedded, server] = pair as [Speed, Speed]
    // The first round warms both up.
    if (round === 0) continue
    note(`prefill, ${streams} stream${streams > 1 ? 's' : ''}`, embedded.prefill, server.prefill)
    note(`decode, ${streams} stream${streams > 1 ? 's' : ''}`, embedded.decode, server.decode)
    const plain = await library.decode(promptsOf(streams, round), outputTokens)
    alone.get(streams)?.rates.push(plain.tokensPerSecond)
    alone.get(streams)?.shares.push(plain.nativeShare)
  }
}
await Promise.all(instances.map((instance) => instance.close()))

console.log(`${machineLine()}; ${flags.threads} thread(s), median of ${flags.rounds} rounds\n`)
printTable([
  ['tokens/s', 'embedded', 'llama-server', 'ratio', 'least', 'most', 'limit'],
  ...[...figures].map(([name, pairs]) => {
    const ratios = pairs.map(([embedded, server]) => embedded / server)
    const [ours, theirs] = [0, 1].map((index) => median(pairs.map((pair) => pair[index] ?? 0)))
    return [name, ours ?? 0, theirs ?? 0, median(ratios), Math.min(...ratios), Math.max(...ratios), 0.9]
  }),
])
console.log()
printTable([
  ['the library alone', 'tokens/s', 'embedded to it', 'inside llama.cpp'],
  ...streamCounts.map((streams) => {
    const name = `decode, ${streams} stream${streams > 1 ? 's' : ''}`
    const { rates, shares } = alone.get(streams) ?? { rates: [], shares: [] }
    const ratios = (figures.get(name) ?? []).map(([embedded], i) => embedded / (rates[i] ?? Number.NaN))
    return [name, median(rates), median(ratios), median(shares)]
  }),
])
process.exit(0)

function launch(engine: Engine): Promise<EngineInstance> {
  return engine.launch(
    {
      id: engine.name,
      modelName: 'synthetic',
      modelPath,
      projectorPaths: [],
      adapterPaths: [],
      contextLength: 1024,
      slots: Math.max(...streamCounts),
      embedding: false,
      gpuLayers: 0,
      threads: Number(flags.threads),
      flashAttention: 'auto',
      kvCacheType: 'f16',
      contextShift: false,
      stallTimeoutMs: 60_000,
    },
    never,
  )
}

interface Speed {
  /** Tokens a second, of all streams together. */
  prefill: number
  decode: number
}

/** Prompts that share nothing with earlier ones. */
function promptsOf(streams: number, round: number): number[][] {
  return Array.from({ length: streams }, (_, stream) =>
    Array.from(
      { length: promptTokens },
      (_, i) => 300 + ((i * 7 + stream * 131 + round * 977 + streams * 53) % 7000),
    ),
  )
}

/** The prompts answered at once, then continued. */
async function measure(instance: EngineInstance, streams: number, round: number): Promise<Speed> {
  const prompts = promptsOf(streams, round)
  const startedMs = performance.now()
  await Promise.all(prompts.map((prompt) => answerOf(instance, { prompt, maxTokens: 1 })))
  const prefillMs = performance.now() - startedMs

  // The same prompts lie in the cache now: what is left is decoding, timed from the moment that all of it runs.
  const started: number[] = []
  await Promise.all(
    prompts.map(async (prompt, stream) => {
      for await (const event of instance.generate(request({ prompt, maxTokens: outputTokens }), never)) {
        if (event.type === 'token') started[stream] ??= performance.now()
      }
    }),
  )
  const decodeMs = performance.now() - Math.max(...started)
  return {
    prefill: (streams * promptTokens * 1000) / prefillMs,
    decode: (streams * (outputTokens - 1) * 1000) / decodeMs,
  }
}

function note(name: string, embedded: number, server: number): void {
  figures.set(name, [...(figures.get(name) ?? []), [embedded, server]])
}
