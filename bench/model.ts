/**
 * Is the simulator's instance like a real one? A real llama.cpp on one core is measured with single requests, as anybody
 * would do it for a cluster file; then requests of mixed lengths arrive at random (seeded), and what the model foretells of
 * them is held against what the real one does. This is the one place where both stand side by side: it is the check of one
 * by the other.
 *
 *   node bench/model.ts [--engine llama.cpp] [--requests 60] [--busy 0.6] [--seed 1]
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createModelledInstance, type EngineModel } from '../src/simulation/index.ts'
import { seededRandom } from '../tools/model/corpus/random.ts'
import { wordsOf } from './support/chats.ts'
import { askChat, type ChatAnswer } from './support/ollama.ts'
import { machineLine } from './support/process.ts'
import { scratchFolder, startDrover, storeOf } from './support/servers.ts'
import { median, percentile, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: {
    engine: { type: 'string', default: 'llama.cpp' },
    requests: { type: 'string', default: '60' },
    busy: { type: 'string', default: '0.6' },
    seed: { type: 'string', default: '1' },
  },
})
const slots = 4
const contextLength = 4096
const model = 'bench'
const { int, next } = seededRandom(Number(flags.seed))

const folder = scratchFolder()
const modelsDir = `${folder}/models`
await storeOf(modelsDir, model, {
  layers: 8,
  dim: 512,
  heads: 8,
  ffn: 1408,
  vocab: 4096,
  context: 8192,
  endless: true,
  type: 'Q8_0',
})
const drover = await startDrover({
  folder,
  modelsDir,
  engine: flags.engine,
  env: {
    DROVER_DEVICES: 'cpu:0',
    DROVER_JOIN_REQUESTS: 'false',
    OLLAMA_NUM_PARALLEL: String(slots),
    OLLAMA_CONTEXT_LENGTH: String(contextLength),
  },
})

const ask = (words: number, maxTokens: number): Promise<ChatAnswer> =>
  askChat([{ role: 'user', content: wordsOf(words, int) }], { origin: drover.origin, model, maxTokens })

await ask(50, 4)
const engine = await calibrate()
console.log(machineLine())
console.log(
  `measured alone: ${Math.round(engine.prefillTokensPerS)} prompt tokens/s, a step ` +
    `${engine.decodeBaseMs.toFixed(2)} + ${engine.decodePerRequestMs.toFixed(2)} ms a request ` +
    `+ ${(1000 * engine.decodePerKvTokenMs).toFixed(2)} ms for each 1000 tokens held\n`,
)

/**
 * The figures of a cluster file: prompts of one length, answers by one and by all slots, and answers after a long prompt.
 * The last one matters: with every token of an answer the engine reads the keys and values of all tokens before it, which on
 * a CPU and after a thousand tokens is a good part of the step.
 */
async function calibrate(): Promise<EngineModel> {
  const prompts = await inTurn(6, () => ask(500, 2))
  const msPerToken = median(prompts.map(({ ttftMs, promptTokens }) => ttftMs / promptTokens))
  const alone = await inTurn(3, () => ask(20, 64))
  const oneMs = median(alone.map(stepMsOf))
  const afterLong = await inTurn(3, () => ask(500, 64))
  const longMs = median(afterLong.map(stepMsOf))
  const rounds = await inTurn(3, () => Promise.all(Array.from({ length: slots }, () => ask(20, 64))))
  const allMs = median(rounds.flat().map(stepMsOf))
  const shortTokens = median(alone.map(meanHeld))
  const longTokens = median(afterLong.map(meanHeld))
  const decodePerKvTokenMs = Math.max(0, (longMs - oneMs) / (longTokens - shortTokens))
  // Each request of a batch brings its own tokens.
  const kvMs = decodePerKvTokenMs * shortTokens
  const decodePerRequestMs = Math.max(0, (allMs - oneMs) / (slots - 1) - kvMs)
  return {
    prefillTokensPerS: 1000 / msPerToken,
    decodeBaseMs: Math.max(0.01, oneMs - decodePerRequestMs - kvMs),
    decodePerRequestMs,
    decodePerKvTokenMs,
    chunkTokens: 2048,
    slots,
    kvTokens: slots * contextLength,
    blockTokens: 16,
    loadMs: 0,
  }
}

/** Tokens in the KV cache of a request while it is answered, on average. */
function meanHeld({ promptTokens, outputTokens }: ChatAnswer): number {
  return promptTokens + outputTokens / 2
}

async function inTurn<T>(count: number, run: () => Promise<T>): Promise<T[]> {
  const results: T[] = []
  for (let index = 0; index < count; index++) results.push(await run())
  return results
}

function stepMsOf({ totalMs, ttftMs, outputTokens }: ChatAnswer): number {
  return (totalMs - ttftMs) / Math.max(1, outputTokens - 1)
}

interface Planned {
  atMs: number
  words: number
  maxTokens: number
}

/** Arrivals by a Poisson process that keeps the instance busy for `--busy` of the time. */
function plan(): Planned[] {
  const meanTokens = 700
  const meanOutput = 40
  const workMs =
    (meanTokens / engine.prefillTokensPerS) * 1000 +
    meanOutput *
      (engine.decodeBaseMs / 2 + engine.decodePerRequestMs + engine.decodePerKvTokenMs * meanTokens)
  let atMs = 0
  return Array.from({ length: Number(flags.requests) }, () => {
    atMs += (-Math.log(1 - next()) * workMs) / Number(flags.busy)
    return { atMs, words: int(60, 580), maxTokens: int(16, 64) }
  })
}

const planned = plan()
const startedMs = performance.now()
const answers = await Promise.all(
  planned.map(async ({ atMs, words, maxTokens }) => {
    await sleep(Math.max(0, atMs - (performance.now() - startedMs)))
    const sentMs = performance.now() - startedMs
    return { ...(await ask(words, maxTokens)), sentMs }
  }),
)
await drover.stop()

const foretold = simulate()
const real = { ttft: answers.map(({ ttftMs }) => ttftMs), total: answers.map(({ totalMs }) => totalMs) }
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const line = (name: string, predicted: number, seen: number) => [
  name,
  seen.toFixed(0),
  predicted.toFixed(0),
  (predicted / seen).toFixed(3),
]
printTable([
  ['', 'real ms', 'foretold ms', 'foretold / real'],
  line('time to first token, mean', mean(foretold.ttft), mean(real.ttft)),
  line('time to first token, p90', percentile(foretold.ttft, 0.9), percentile(real.ttft, 0.9)),
  line('whole answer, mean', mean(foretold.total), mean(real.total)),
  line('whole answer, p90', percentile(foretold.total, 0.9), percentile(real.total, 0.9)),
])
console.log('\nwanted: each mean within 0.85 to 1.15')
process.exit(0)

/** The same requests, at the times at which they were really sent, on the modelled instance. */
function simulate(): { ttft: number[]; total: number[] } {
  const instance = createModelledInstance(engine)
  const first = new Map<number, number>()
  const done = new Map<number, number>()
  const order = answers.map((answer, id) => ({ ...answer, id })).sort((a, b) => a.sentMs - b.sentMs)
  const advance = (untilMs: number) => {
    for (const event of instance.advance(untilMs)) {
      if (event.type === 'firstToken') first.set(event.id, event.atMs)
      if (event.type === 'done') done.set(event.id, event.atMs)
    }
  }
  for (const { id, sentMs, promptTokens, outputTokens } of order) {
    advance(sentMs)
    instance.submit({ id, hashes: [], promptTokens, outputTokens }, sentMs)
  }
  for (let atMs = instance.nextMs(); Number.isFinite(atMs); atMs = instance.nextMs()) advance(atMs)
  return {
    ttft: order.map(({ id, sentMs }) => (first.get(id) ?? Number.NaN) - sentMs),
    total: order.map(({ id, sentMs }) => (done.get(id) ?? Number.NaN) - sentMs),
  }
}
