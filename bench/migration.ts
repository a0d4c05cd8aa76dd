/**
 * Many streams while their model moves from one device to the other and back, again and again: errors that clients see,
 * prompts whose texts are those of an undisturbed run, and the longest gap in a stream. The model is the bundled one,
 * asked what it has learnt: there rounding hardly ever changes a word.
 *
 *   node bench/migration.ts [--engine llama.cpp] [--streams 50] [--moves 6] [--every 3]
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openStore } from '../src/models/index.ts'
import { importDemoModel } from '../src/server/demo.ts'
import { quietLog } from '../test/support/quiet-log.ts'
import {
  askInTurn,
  change,
  differing,
  keepAsking,
  knownPrompts,
  layoutOf,
  type Seen,
} from '../test/support/streams.ts'
import { machineLine } from './support/process.ts'
import { scratchFolder, startDrover } from './support/servers.ts'
import { median, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: {
    engine: { type: 'string', default: 'llama.cpp' },
    streams: { type: 'string', default: '50' },
    moves: { type: 'string', default: '6' },
    every: { type: 'string', default: '3' },
  },
})
const streams = Number(flags.streams)
const folder = scratchFolder()
const modelsDir = `${folder}/models`
const { displayName: model } = await importDemoModel(await openStore({ root: modelsDir, log: quietLog }))
const prompts = await knownPrompts(100)

console.log(machineLine())
const drover = await startDrover({
  folder,
  modelsDir,
  engine: flags.engine,
  env: {
    DROVER_DEVICES: 'cpu:0,cpu:1',
    DROVER_JOIN_REQUESTS: 'false',
    DROVER_HAND_OVER_AFTER: '0s',
    OLLAMA_NUM_PARALLEL: '8',
    OLLAMA_CONTEXT_LENGTH: '512',
  },
})
const { origin: url } = drover
const movesMs: number[] = []

await move('cpu:0')
const alone = await askInTurn({ url, models: [model], prompts })
const load = () => keepAsking({ url, models: [model], prompts, streams })
const calm = load()
await sleep(Number(flags.every) * Number(flags.moves) * 1000)
const still = await calm.stop()
const moving = load()
for (let turn = 0; turn < Number(flags.moves); turn++) {
  await sleep(Number(flags.every) * 1000)
  movesMs.push(await move(`cpu:${(turn + 1) % 2}`))
}
await sleep(Number(flags.every) * 1000)
const moved = await moving.stop()
await drover.stop()

const row = (name: string, of: (seen: Seen) => string | number) => [name, of(still), of(moved)]
printTable([
  ['', 'undisturbed', `${movesMs.length} moves, one every ${flags.every} s`],
  row('answers', ({ answers }) => answers),
  row('errors that a client saw', ({ errors }) => errors.length),
  row('prompts with just the text of a run without others', (seen) => {
    return `${seen.texts.size - differing(alone, seen).length} of ${seen.texts.size}`
  }),
  row('longest gap in a stream, ms', ({ longestGapMs }) => longestGapMs.toFixed(0)),
  row('longest wait for the first word, ms', ({ longestTtftMs }) => longestTtftMs.toFixed(0)),
])
console.log(`a move takes ${median(movesMs).toFixed(0)} ms (median), the load of the model included`)
for (const words of new Set([...still.errors, ...moved.errors, ...differing(alone, moved)]))
  console.log(words)
process.exit(moved.errors.length > 0 ? 1 : 0)

/** Resolves with how long it took, when what was on the other device has gone. */
async function move(to: string): Promise<number> {
  const beganMs = performance.now()
  const [begun] = await change(url, 'migrate', { model, to: [to] })
  for (;;) {
    const { moves } = await layoutOf(url)
    const now = moves.find(({ id }) => id === begun?.id)
    if (now?.state === 'failed') throw new Error(`the move to ${to} failed: ${now.error}`)
    if (now?.state === 'done') return performance.now() - beganMs
    await sleep(20)
  }
}
