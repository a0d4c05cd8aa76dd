/**
 * Mixed load with random cancels, for as long as it takes to see something grow: memory, handles, held slots. `heapMib`
 * is Drover's heap without garbage, `droverMib` and `engineMib` what the system has given.
 *
 *   node bench/soak.ts [--minutes 30] [--engine embedded|llama.cpp] [--clients 6]
 */
import { parseArgs } from 'node:util'
import { descendants } from '../test/support/drover.ts'
import { freePort } from '../test/support/free-port.ts'
import { openHeap } from '../test/support/heap.ts'
import { ensureLlamaServer } from '../test/support/llama-server.ts'
import { machineLine, openHandles, residentBytes } from './support/process.ts'
import { ready, scratchFolder, start } from './support/servers.ts'
import { printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    engine: { type: 'string', default: 'embedded' },
    clients: { type: 'string', default: '6' },
  },
})
const minutes = Number(flags.minutes)
const settleMinutes = Math.min(5, minutes / 3)
const folder = scratchFolder()
const port = await freePort()
const origin = `http://127.0.0.1:${port}`
const inspectorPort = await freePort()
const inspect = `--inspect=127.0.0.1:${inspectorPort}`
const drover = start(process.execPath, [inspect, 'bin/drover.js', 'serve', '--demo'], {
  ...process.env,
  HOME: folder,
  DROVER_HOME: folder,
  DROVER_ENGINE: flags.engine,
  ...(flags.engine === 'llama.cpp' && { DROVER_LLAMA_SERVER: await ensureLlamaServer() }),
  OLLAMA_HOST: `127.0.0.1:${port}`,
  OLLAMA_MODELS: `${folder}/models`,
  OLLAMA_NUM_PARALLEL: '4',
})
const pid = drover.pid ?? 0
await ready(`${origin}/api/version`)
console.log(`${machineLine()}\n${minutes} minutes, engine ${flags.engine}, ${flags.clients} clients\n`)

const prompts = [
  'What is the capital of France?',
  'Tell me a story.',
  'Count from 1 to 30.',
  'What is 7 times 8?',
  'Hi!',
]
const tally = { finished: 0, cancelled: 0, failed: 0 }
const endsAt = Date.now() + minutes * 60_000
const samples: { minute: number; droverMib: number; heapMib: number; engineMib: number; handles: number }[] =
  []
const heap = await openHeap(inspectorPort)

const clients = Array.from({ length: Number(flags.clients) }, (_, index) => client(index))
const sampling = sample()
await Promise.all([...clients, sampling])
await report()

async function client(index: number): Promise<void> {
  let state = index + 1
  // A small linear congruential generator: the same load in every run.
  const random = () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32
    return state / 2 ** 32
  }
  while (Date.now() < endsAt) await one(random)
}

async function one(random: () => number): Promise<void> {
  const content = prompts[Math.floor(random() * prompts.length)] ?? 'Hi!'
  const stream = random() < 0.7
  const chat = random() < 0.6
  const openai = random() < 0.3
  const messages = [{ role: 'user', content }]
  const path = openai ? '/v1/chat/completions' : chat ? '/api/chat' : '/api/generate'
  const body = { model: 'drover', stream, ...(openai || chat ? { messages } : { prompt: content }) }
  const cancelAfterMs = random() < 0.3 ? Math.floor(random() * 400) : undefined
  const signal = cancelAfterMs === undefined ? null : AbortSignal.timeout(cancelAfterMs)
  try {
    const response = await fetch(origin + path, { method: 'POST', body: JSON.stringify(body), signal })
    const text = await response.text()
    if (response.ok && !text.includes('"error"')) tally.finished++
    else tally.failed++
  } catch (error) {
    if (signal?.aborted) tally.cancelled++
    else {
      tally.failed++
      console.error(error)
    }
  }
}

async function sample(): Promise<void> {
  const startedAt = Date.now()
  while (Date.now() < endsAt) {
    await new Promise((resolve) => setTimeout(resolve, 10_000))
    const engines = await descendants(pid)
    const engineBytes = engines.map((engine) => residentBytes(engine).anonymous).reduce((a, b) => a + b, 0)
    samples.push({
      minute: (Date.now() - startedAt) / 60_000,
      heapMib: await heap.usedMib(),
      droverMib: residentBytes(pid).anonymous / 2 ** 20,
      engineMib: engineBytes / 2 ** 20,
      handles: openHandles(pid),
    })
  }
}

async function report(): Promise<void> {
  // A held slot would make the last of these wait for ever.
  const begun = performance.now()
  await Promise.all(
    Array.from({ length: 4 }, () =>
      fetch(`${origin}/api/chat`, {
        method: 'POST',
        body: JSON.stringify({
          model: 'drover',
          messages: [{ role: 'user', content: 'Hi!' }],
          stream: false,
        }),
        signal: AbortSignal.timeout(30_000),
      }).then((response) => response.text()),
    ),
  )
  const allSlotsMs = performance.now() - begun
  const settled = samples.filter((entry) => entry.minute >= settleMinutes)
  const rows = (['heapMib', 'droverMib', 'engineMib', 'handles'] as const).map((key) => {
    const half = settled.length >> 1
    const mean = (part: typeof settled) => part.reduce((sum, entry) => sum + entry[key], 0) / part.length
    const first = mean(settled.slice(0, half))
    const second = mean(settled.slice(half))
    return [
      key,
      first,
      second,
      second - first,
      slopePerMinute(settled.map((entry) => [entry.minute, entry[key]])),
    ]
  })
  printTable([['figure', 'first half', 'second half', 'growth', 'slope a minute'], ...rows])
  console.log(`\n${tally.finished} finished, ${tally.cancelled} cancelled, ${tally.failed} failed`)
  console.log(`afterwards 4 requests on 4 slots took ${allSlotsMs.toFixed(0)} ms together`)
  process.exit(tally.failed === 0 ? 0 : 1)
}

/** Least squares. */
function slopePerMinute(points: (readonly [number, number])[]): number {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length
  const up = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0)
  const down = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  return up / down
}
