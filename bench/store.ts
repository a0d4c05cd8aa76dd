/**
 * How long `/api/tags` and `/api/show` take with a thousand models in the store: the first time, and from then on.
 *
 *   node bench/store.ts [--models 1000] [--rounds 20]
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { freePort } from '../test/support/free-port.ts'
import { machineLine } from './support/process.ts'
import { ready, scratchFolder, start, storeOf } from './support/servers.ts'
import { median, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: { models: { type: 'string', default: '1000' }, rounds: { type: 'string', default: '20' } },
})
const folder = scratchFolder()
const modelsDir = join(folder, 'models')
await storeOf(modelsDir, 'model-0', { layers: 2, dim: 64, heads: 2 })
const library = join(modelsDir, 'manifests/registry.ollama.ai/library')
const manifest = readFileSync(join(library, 'model-0/latest'))
for (let index = 1; index < Number(flags.models); index++) {
  mkdirSync(join(library, `model-${index}`))
  writeFileSync(join(library, `model-${index}`, 'latest'), manifest)
}

const port = await freePort()
const origin = `http://127.0.0.1:${port}`
start(process.execPath, ['bin/drover.js', 'serve'], {
  ...process.env,
  HOME: folder,
  DROVER_HOME: folder,
  OLLAMA_HOST: `127.0.0.1:${port}`,
  OLLAMA_MODELS: modelsDir,
})
await ready(`${origin}/api/version`)

const tags = async () => {
  const { models } = (await (await fetch(`${origin}/api/tags`)).json()) as { models: unknown[] }
  if (models.length !== Number(flags.models)) throw new Error(`${models.length} models were listed`)
}
let at = 0
const show = async () => {
  const model = `model-${++at % Number(flags.models)}`
  const reply = await fetch(`${origin}/api/show`, { method: 'POST', body: JSON.stringify({ model }) })
  if (!reply.ok) throw new Error(await reply.text())
  await reply.text()
}
const timed = async (work: () => Promise<void>) => {
  const startedMs = performance.now()
  await work()
  return performance.now() - startedMs
}

console.log(`${machineLine()}; ${flags.models} models\n`)
const rows: (string | number)[][] = []
for (const [name, work] of Object.entries({ tags, show })) {
  const firstMs = await timed(work)
  const times: number[] = []
  for (let round = 0; round < Number(flags.rounds); round++) times.push(await timed(work))
  rows.push([name, firstMs, median(times), Math.max(...times), 50])
}
printTable([['request', 'first ms', 'median ms', 'most ms', 'wanted ms'], ...rows])
process.exit(0)
