/**
 * From the start of Drover to the first accepted request, without a model, and its memory when idle.
 *
 *   node bench/start.ts [--rounds 10]
 */
import { connect } from 'node:net'
import { parseArgs } from 'node:util'
import { freePort } from '../test/support/free-port.ts'
import { machineLine, residentBytes } from './support/process.ts'
import { scratchFolder, start } from './support/servers.ts'
import { median, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({ options: { rounds: { type: 'string', default: '10' } } })
const folder = scratchFolder()
const startMs: number[] = []
const idleMib: number[] = []
const bareMs: number[] = []

for (let round = 0; round < Number(flags.rounds) + 1; round++) {
  bareMs.push(await timeBareNode())
  const port = await freePort()
  const startedMs = performance.now()
  const drover = start(process.execPath, ['bin/drover.js', 'serve'], {
    ...process.env,
    HOME: folder,
    DROVER_HOME: folder,
    OLLAMA_HOST: `127.0.0.1:${port}`,
    OLLAMA_MODELS: `${folder}/models`,
  })
  await firstAnswer(port)
  if (round > 0) startMs.push(performance.now() - startedMs)
  await new Promise((resolve) => setTimeout(resolve, 3000))
  if (round > 0) idleMib.push(residentBytes(drover.pid ?? 0).total / 2 ** 20)
  drover.kill('SIGTERM')
  await new Promise((resolve) => drover.once('exit', resolve))
}

console.log(`${machineLine()}\n`)
printTable([
  ['figure', 'median', 'worst', 'limit'],
  ['start to first answer, ms', median(startMs), Math.max(...startMs), 1000],
  ['the same for a bare `node -e 0`, ms', median(bareMs), Math.max(...bareMs), '-'],
  ['resident memory when idle, MiB', median(idleMib), Math.max(...idleMib), 150],
])
process.exit(0)

async function timeBareNode(): Promise<number> {
  const startedMs = performance.now()
  const child = start(process.execPath, ['-e', '0'])
  await new Promise((resolve) => child.once('exit', resolve))
  return performance.now() - startedMs
}

/** Knocks until somebody opens, then asks for the version. */
async function firstAnswer(port: number): Promise<void> {
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (open) break
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  const response = await fetch(`http://127.0.0.1:${port}/api/version`)
  if (!response.ok) throw new Error(`status ${response.status}`)
}
