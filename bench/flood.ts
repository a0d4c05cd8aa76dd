/**
 * One tenant floods, another asks now and then: the second one's time to first token with the flood against without it. A
 * real engine on one core; the flood has as many requests as are told, all at once, of which the queue takes what it may.
 *
 *   node bench/flood.ts [--engine llama.cpp] [--flood 10000] [--asks 60]
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Agent, request } from 'undici'
import { seededRandom } from '../tools/model/corpus/random.ts'
import { wordsOf } from './support/chats.ts'
import { askChat } from './support/ollama.ts'
import { machineLine } from './support/process.ts'
import { scratchFolder, startDrover, storeOf } from './support/servers.ts'
import { percentile, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: {
    engine: { type: 'string', default: 'llama.cpp' },
    flood: { type: 'string', default: '10000' },
    asks: { type: 'string', default: '60' },
  },
})
const model = 'bench'
const { int } = seededRandom(1)
const folder = scratchFolder()
const modelsDir = `${folder}/models`
await storeOf(modelsDir, model, {
  layers: 8,
  dim: 512,
  heads: 8,
  ffn: 1408,
  vocab: 4096,
  context: 4096,
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
    OLLAMA_NUM_PARALLEL: '4',
    OLLAMA_CONTEXT_LENGTH: '1024',
  },
})
const ask = async () => {
  const headers = { 'x-drover-tenant': 'now and then' }
  const prompt = [{ role: 'user' as const, content: wordsOf(150, int) }]
  return (await askChat(prompt, { origin: drover.origin, model, maxTokens: 8, headers })).ttftMs
}

/** The seldom tenant's times, one request after the other. */
async function seldom(): Promise<number[]> {
  const times: number[] = []
  for (let count = 0; count < Number(flags.asks); count++) {
    times.push(await ask())
    await sleep(50)
  }
  return times
}

const dispatcher = new Agent({ connections: Number(flags.flood), headersTimeout: 0, bodyTimeout: 0 })
const statuses = new Map<number, number>()
const over = new AbortController()

/** As many requests at once as the flood has; who is refused comes again when it is told to. */
async function flooder(index: number): Promise<void> {
  await sleep(index / 10)
  while (!over.signal.aborted) {
    try {
      const { statusCode, headers, body } = await request(`${drover.origin}/api/generate`, {
        method: 'POST',
        headers: { 'x-drover-tenant': 'flood' },
        body: JSON.stringify({
          model,
          prompt: `${index}`,
          raw: true,
          stream: false,
          options: { num_predict: 8 },
        }),
        dispatcher,
        signal: over.signal,
      })
      await body.dump()
      statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1)
      await sleep(Number(headers['retry-after'] ?? 1) * 1000, undefined, { signal: over.signal })
    } catch (error) {
      if (!over.signal.aborted) throw error
    }
  }
}

await ask()
console.log(machineLine())
const before = await seldom()
const floods = Array.from({ length: Number(flags.flood) }, (_, index) => flooder(index))
await sleep(3_000)
const during = await seldom()
over.abort()
await Promise.all(floods)
await drover.stop()

const line = (name: string, share: number) => {
  const [calm, flooded] = [percentile(before, share), percentile(during, share)]
  return [name, calm.toFixed(0), flooded.toFixed(0), (flooded / calm).toFixed(2)]
}
printTable([
  ['time to first token', 'alone ms', 'with the flood ms', 'ratio'],
  line('p50', 0.5),
  line('p90', 0.9),
  line('p99', 0.99),
])
const counts = [...statuses].map(([status, count]) => `${count} x ${status}`).join(', ')
console.log(`\nthe flood of ${flags.flood} was answered: ${counts}; wanted: a ratio of at most 2 at p99`)
process.exit(0)
