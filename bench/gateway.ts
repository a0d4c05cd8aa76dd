/**
 * What Drover adds to an answer: through Drover, through nginx as a plain proxy, and directly, to the same
 * llama-server with the same flags and model, in turn within one run.
 *
 *   node bench/gateway.ts [--rounds 5] [--requests 40]
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { freePort } from '../test/support/free-port.ts'
import { ensureLlamaServer } from '../test/support/llama-server.ts'
import { createChatClient, type Timed } from './support/client.ts'
import { childOf, cpuMs, machineLine } from './support/process.ts'
import { ready, scratchFolder, start, startNginx, storeOf } from './support/servers.ts'
import { median, percentile, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, requests: { type: 'string', default: '40' } },
})
const rounds = Number(flags.rounds)
const requestsPerRound = Number(flags.requests)
const streams = 16
const tokensPerAnswer = 64

const folder = scratchFolder()
const modelsDir = `${folder}/models`
const model = 'bench'
const modelPath = await storeOf(modelsDir, model, {
  architecture: 'llama',
  layers: 8,
  dim: 512,
  heads: 8,
  ffn: 1408,
  vocab: 4096,
  context: 4096,
  type: 'F16',
  seed: 1,
})
const llamaServer = await ensureLlamaServer()

const droverPort = await freePort()
const drover = start(process.execPath, ['bin/drover.js', 'serve'], {
  ...process.env,
  HOME: folder,
  DROVER_HOME: folder,
  DROVER_ENGINE: 'llama.cpp',
  DROVER_LLAMA_SERVER: llamaServer,
  OLLAMA_HOST: `127.0.0.1:${droverPort}`,
  OLLAMA_MODELS: modelsDir,
  OLLAMA_NUM_PARALLEL: String(streams),
  OLLAMA_CONTEXT_LENGTH: '512',
  OLLAMA_KEEP_ALIVE: '-1',
})
const droverOrigin = `http://127.0.0.1:${droverPort}`
await ready(`${droverOrigin}/api/version`)
await fetch(`${droverOrigin}/api/generate`, { method: 'POST', body: JSON.stringify({ model }) })

const enginePort = await freePort()
start(llamaServer, directArgs(engineArgsOf(drover.pid ?? 0), enginePort))
await ready(`http://127.0.0.1:${enginePort}/health`)
const nginxPort = await freePort()
const nginx = startNginx(folder, nginxPort, enginePort)
await ready(`http://127.0.0.1:${nginxPort}/health`)
const nginxWorker = childOf(nginx.pid ?? 0)

const paths = {
  direct: `http://127.0.0.1:${enginePort}`,
  nginx: `http://127.0.0.1:${nginxPort}`,
  drover: droverOrigin,
}
type PathName = keyof typeof paths
const names = Object.keys(paths) as PathName[]

console.log(machineLine())
console.log(
  `llama-server: ${engineArgsOf(drover.pid ?? 0)
    .slice(1)
    .join(' ')
    .replaceAll(folder, '...')}\n`,
)

const single: Record<PathName, Timed[]> = { direct: [], nginx: [], drover: [] }
const throughput: Record<PathName, number[]> = { direct: [], nginx: [], drover: [] }
const cpuPerToken: Record<PathName, number[]> = { direct: [], nginx: [], drover: [] }
const gatewayCpuMs = (name: PathName) => (name === 'drover' ? cpuMs(drover.pid ?? 0) : cpuMs(nginxWorker))
for (let round = 0; round < rounds + 1; round++) {
  // The order turns, so that none always comes first; the first round only warms up.
  for (const name of names.map((_, i) => names[(i + round) % names.length] ?? 'direct')) {
    const timed = await oneByOne(name, requestsPerRound)
    const before = gatewayCpuMs(name)
    const { tokens, ms } = await together(name)
    if (round === 0) continue
    single[name].push(...timed)
    throughput[name].push((tokens / ms) * 1000)
    if (name !== 'direct') cpuPerToken[name].push(((gatewayCpuMs(name) - before) / tokens) * 1000)
  }
}

const ttft = (name: PathName, share: number) =>
  percentile(
    single[name].map((timed) => timed.ttftMs),
    share,
  )
printTable([
  [
    'path',
    'ttft p50 ms',
    'ttft p99 ms',
    'added p50 ms',
    'added p99 ms',
    `tok/s at ${streams}`,
    'ratio to direct',
    'CPU µs/tok',
  ],
  ...names.map((name) => [
    name,
    ttft(name, 0.5),
    ttft(name, 0.99),
    ttft(name, 0.5) - ttft('direct', 0.5),
    ttft(name, 0.99) - ttft('direct', 0.99),
    median(throughput[name]),
    median(throughput[name].map((rate, i) => rate / (throughput.direct[i] ?? Number.NaN))),
    name === 'direct' ? '-' : median(cpuPerToken[name]),
  ]),
])
process.exit(0)

async function oneByOne(name: PathName, count: number): Promise<Timed[]> {
  const client = createChatClient({ origin: paths[name], model }, 1)
  const timed: Timed[] = []
  for (let i = 0; i < count; i++) timed.push(await client.chat(`Question ${i} of one client`, 8))
  await client.close()
  return timed
}

async function together(name: PathName): Promise<{ tokens: number; ms: number }> {
  const client = createChatClient({ origin: paths[name], model }, streams)
  const startedMs = performance.now()
  const answers = await Promise.all(
    Array.from({ length: streams }, (_, i) => client.chat(`Question ${i} of many`, tokensPerAnswer)),
  )
  const ms = performance.now() - startedMs
  await client.close()
  return { tokens: answers.reduce((sum, answer) => sum + answer.tokens, 0), ms }
}

/** The command line of the engine that Drover started. */
function engineArgsOf(droverPid: number): string[] {
  const table = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n')
  const rows = table.map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line)).filter((row) => row !== null)
  const below = new Set([droverPid])
  for (const [, pid, ppid] of rows) if (below.has(Number(ppid))) below.add(Number(pid))
  const row = rows.find(
    ([, pid, , args]) =>
      below.has(Number(pid)) &&
      args?.includes(modelPath) &&
      /llama-server/.test(args) &&
      !/^\S*sh /.test(args ?? ''),
  )
  if (!row) throw new Error('the engine of Drover was not found among the processes')
  return readFileSync(`/proc/${row[1]}/cmdline`, 'utf8').split('\0').filter(Boolean)
}

/** The same flags for a server of our own on a port; it renders chats by itself, so it keeps its templates. */
function directArgs(args: string[], port: number): string[] {
  const first = args.findIndex((arg) => arg === '--model' || arg === '-m')
  const kept = args.slice(first).filter((arg) => arg !== '--no-jinja')
  const withoutValue = new Set(['--host', '--port', '--api-key', '--api-key-file'])
  const flagsOnly = kept.filter((arg, i) => !withoutValue.has(arg) && !withoutValue.has(kept[i - 1] ?? ''))
  return [...flagsOnly, '--host', '127.0.0.1', '--port', String(port)]
}
