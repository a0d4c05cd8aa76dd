/**
 * What a second device brings: tokens per second of one Drover on one CPU device of one core, and of another on two,
 * under the same load, in turn within one run. Beside it what the machine gives without Drover: one llama-server, and
 * two of them, pinned to the same cores. Two cores that share caches, matrix units or memory do less than twice the
 * work of one, and no gateway can change that.
 *
 *   node bench/devices.ts [--rounds 5] [--streams 4] [--engine llama.cpp]
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { DeviceReport } from '../src/api/index.ts'
import { freePort } from '../test/support/free-port.ts'
import { ensureLlamaServer } from '../test/support/llama-server.ts'
import { machineLine } from './support/process.ts'
import { ready, scratchFolder, start, storeOf } from './support/servers.ts'
import { median, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '4' },
    streams: { type: 'string', default: '4' },
    engine: { type: 'string', default: 'llama.cpp' },
  },
})
const streams = Number(flags.streams)
const slots = 2
const tokensPerAnswer = 96

const folder = scratchFolder()
const modelsDir = `${folder}/models`
/** About 100 million parameters: decoding takes the core, not what is around it. */
const modelPath = await storeOf(modelsDir, 'bench', {
  layers: 14,
  dim: 768,
  heads: 12,
  ffn: 2048,
  vocab: 8192,
  context: 2048,
  endless: true,
  // Weights that the cores read at their own pace; the matrix units of the CPU may be shared.
  type: 'F16',
})
const llamaServer = await ensureLlamaServer()

interface Setup {
  name: string
  /** Tokens of one answer, of the `index`-th stream. */
  ask(index: number): Promise<number>
  rates: number[]
}

const prompt = 'the sheep'

async function serve(devices: string): Promise<Setup & { url: string }> {
  const port = await freePort()
  start(process.execPath, ['bin/drover.js', 'serve'], {
    ...process.env,
    HOME: folder,
    DROVER_HOME: folder,
    DROVER_ENGINE: flags.engine,
    DROVER_LLAMA_SERVER: llamaServer,
    DROVER_DEVICES: devices,
    OLLAMA_HOST: `127.0.0.1:${port}`,
    OLLAMA_MODELS: modelsDir,
    // The same slots a device: what is compared is the device.
    OLLAMA_NUM_PARALLEL: String(slots),
    OLLAMA_KEEP_ALIVE: '-1',
  })
  const url = `http://127.0.0.1:${port}`
  await ready(url)
  const options = { num_predict: tokensPerAnswer, num_ctx: 512 }
  const body = { model: 'bench', prompt, raw: true, stream: false, options }
  const ask = async () => Number((await post(`${url}/api/generate`, body))['eval_count'])
  return { name: `drover, ${devices}`, url, ask, rates: [] }
}

async function serveAlone(core: number): Promise<string> {
  const port = await freePort()
  const context = ['-c', String(512 * slots), '-np', String(slots), '-t', '1', '--no-webui']
  const program = [llamaServer, '-m', modelPath, '--port', String(port), ...context]
  start('taskset', ['-c', String(core), ...program])
  const url = `http://127.0.0.1:${port}`
  await ready(`${url}/health`)
  return url
}

function alone(name: string, urls: readonly string[]): Setup {
  const body = { prompt, n_predict: tokensPerAnswer }
  const ask = async (index: number) =>
    Number((await post(`${urls[index % urls.length]}/completion`, body))['tokens_predicted'])
  return { name, ask, rates: [] }
}

async function post(url: string, body: object): Promise<Record<string, unknown>> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`)
  return (await response.json()) as Record<string, unknown>
}

/** Tokens per second of all streams together, each asking again as soon as it has its answer. */
async function rateOf(setup: Setup, answers: number): Promise<number> {
  const startMs = performance.now()
  let left = answers
  let tokens = 0
  const stream = async (index: number) => {
    while (left-- > 0) {
      const answer = await setup.ask(index)
      tokens += answer
    }
  }
  await Promise.all(Array.from({ length: streams }, (_, index) => stream(index)))
  return tokens / ((performance.now() - startMs) / 1000)
}

async function instancesOf(url: string) {
  const report = (await (await fetch(`${url}/api/devices`)).json()) as DeviceReport
  return report.devices.flatMap(({ id, instances }) =>
    instances.map(({ pid, state }) => ({ id, pid, state })),
  )
}

const drovers = [await serve('cpu:0'), await serve('cpu:0,cpu:1')]
console.log(
  `${machineLine()}\nengine ${flags.engine}, ${streams} streams, ${tokensPerAnswer} tokens an answer\n`,
)
for (const drover of drovers) {
  await rateOf(drover, streams * 2)
  for (const { id, pid, state } of await instancesOf(drover.url)) {
    const pinned = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    console.log(`${drover.name}: ${id} ${state}, process ${pid} may run on core ${pinned}`)
  }
}
const servers = [await serveAlone(0), await serveAlone(1)]
const setups: Setup[] = [
  ...drovers,
  alone('one llama-server', servers.slice(0, 1)),
  alone('two llama-servers', servers),
]
for (let round = 0; round < Number(flags.rounds); round++) {
  for (const setup of round % 2 === 0 ? setups : setups.toReversed()) {
    setup.rates.push(await rateOf(setup, streams * 2))
  }
}
const [one = 0, two = 0, oneAlone = 0, twoAlone = 0] = setups.map(({ rates }) => median(rates))
console.log()
printTable([
  ['what', 'tokens/s (median)', 'least', 'most', 'of one device'],
  ...setups.map(({ name, rates }, index) => [
    name,
    median(rates),
    Math.min(...rates),
    Math.max(...rates),
    median(rates) / (index < 2 ? one : oneAlone),
  ]),
])
const limit = twoAlone / oneAlone
console.log(
  `\ntwo devices bring ${(two / one).toFixed(2)} times the tokens of one; two llama-servers without Drover ` +
    `${limit.toFixed(2)} times: ${(two / one / limit).toFixed(2)} of what the machine gives`,
)
process.exit(0)
