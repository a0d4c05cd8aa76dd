/**
 * One tenant floods, another asks now and then: the second one's time to first token with the flood against without it. A
 * real engine on one core; the flood has as many requests as are told, all at once, of which the queue takes what it may.
 * Those that are refused come again when they are told to, and those that were answered too.
 *
 *   node bench/flood.ts [--engine llama.cpp] [--flood 10000] [--asks 40]
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
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
    asks: { type: 'string', default: '40' },
  },
})
const model = 'bench'
/** Requests while the flood comes in. */
const burstAsks = 5
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

/** The seldom tenant's times, one request after the other, about two seconds between them. */
async function seldom(asks: number): Promise<number[]> {
  const times: number[] = []
  for (let count = 0; count < asks; count++) {
    times.push(await ask())
    await sleep(int(1000, 3000))
  }
  return times
}

await ask()
console.log(machineLine())
const before = await seldom(Number(flags.asks))
const flood = fork(join(import.meta.dirname, 'support/flooder.ts'), [
  JSON.stringify({ origin: drover.origin, model, requests: Number(flags.flood) }),
])
const statuses = once(flood, 'message') as Promise<[Record<string, number>]>
// All of them come within a second or two; from then on those come that were told to come again.
const burst = await seldom(burstAsks)
const during = await seldom(Number(flags.asks))
flood.send('over')
const [counts] = await statuses
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
console.log(`\nwhile all of the flood came in: ${burst.map((ms) => ms.toFixed(0)).join(', ')} ms`)
const answers = Object.entries(counts).map(([status, count]) => `${count} x ${status}`)
console.log(
  `\nthe flood of ${flags.flood} was answered: ${answers.join(', ')}; wanted: a ratio of at most 2 at p99`,
)
process.exit(0)
