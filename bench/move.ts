/**
 * What it costs a conversation when its instance goes: the time to the first token of its next turn on another real
 * instance, of one core each, against computing the same prompt there from the beginning. The instance is drained, or
 * killed (`kill -9`) where its caches are checkpointed; each is compared with a server that keeps no caches, in turn.
 *
 *   node bench/move.ts [--engine llama.cpp] [--rounds 3] [--tokens 4000]
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { seededRandom } from '../tools/model/corpus/random.ts'
import { wordsOf } from './support/chats.ts'
import { askChat, type Chat, type ChatAnswer } from './support/ollama.ts'
import { machineLine } from './support/process.ts'
import { type Drover, pidOn, scratchFolder, startDrover, storeOf } from './support/servers.ts'
import { median, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: {
    engine: { type: 'string', default: 'llama.cpp' },
    rounds: { type: 'string', default: '3' },
    tokens: { type: 'string', default: '4000' },
  },
})
const devices = ['cpu:0', 'cpu:1']
const model = 'bench'
const maxTokens = 16

const folder = scratchFolder()
const modelsDir = `${folder}/models`
/** About 25 million parameters: a thousand tokens of prompt take a core a second or so. */
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

type Leave = (origin: string, answer: ChatAnswer) => Promise<void>

const drain: Leave = async (origin, { instance }) => {
  const id = Number(/^#(\d+)/.exec(instance)?.[1])
  const body = JSON.stringify({ instance: id, grace: '0s' })
  const response = await fetch(`${origin}/api/drain`, { method: 'POST', body })
  if (!response.ok) throw new Error(`drain: ${response.status} ${await response.text()}`)
}

const kill: Leave = async (origin, { instance }) => {
  process.kill(await pidOf(origin, instance), 'SIGKILL')
}

async function pidOf(origin: string, instance: string): Promise<number> {
  const pid = await pidOn(origin, instance.split(' ')[1] ?? '')
  if (pid === undefined) throw new Error(`no instance runs where ${instance} was`)
  return pid
}

interface Case {
  name: string
  env: Record<string, string>
  leave: Leave
  ttfts: number[]
}

const cases: Case[] = [
  { name: 'nothing kept, drained', env: { DROVER_SESSION_CACHE_SIZE: '0' }, leave: drain, ttfts: [] },
  { name: 'drained', env: {}, leave: drain, ttfts: [] },
  { name: 'checkpointed, kill -9', env: { DROVER_CHECKPOINT_TOKENS: '1000' }, leave: kill, ttfts: [] },
]

async function serve(env: Record<string, string>): Promise<Drover> {
  const settings = {
    DROVER_DEVICES: devices.join(','),
    OLLAMA_NUM_PARALLEL: '2',
    OLLAMA_CONTEXT_LENGTH: '6144',
  }
  return startDrover({ folder, modelsDir, engine: flags.engine, env: { ...settings, ...env } })
}

const { int } = seededRandom(1)

/** A conversation whose first instance leaves; time to first token of its next turn, on the other one. */
async function move({ env, leave, name }: Case, words: number) {
  const drover = await serve(env)
  const options = { origin: drover.origin, model, maxTokens }
  const short = () => [{ role: 'user' as const, content: wordsOf(20, int) }]
  // Both run, and have answered.
  for (const id of devices) await askChat(short(), { ...options, headers: { 'x-drover-pin': id } })
  const messages: Chat = [{ role: 'user', content: wordsOf(words, int) }]
  const first = await askChat(messages, options)
  messages.push({ role: 'assistant', content: first.text }, ...short())
  // What is checkpointed is written beside the serving.
  await sleep(settleMs)
  await leave(drover.origin, first)
  await sleep(settleMs)
  const next = await askChat(messages, options)
  await drover.stop()
  if (next.instance === first.instance)
    throw new Error(`${name}: the conversation stayed on ${first.instance}`)
  return { first, next }
}

/** Long enough for a drained instance to write what it holds. */
const settleMs = 1000

console.log(`${machineLine()}\nengine ${flags.engine}, ${flags.rounds} rounds\n`)
const [plain] = cases as [Case]
// How many words make so many tokens, by a conversation of a few.
const probe = await move(plain, 200)
const words = Math.round((Number(flags.tokens) * 200) / probe.first.promptTokens)
let promptTokens = 0
for (let round = 0; round < Number(flags.rounds); round++) {
  for (const one of round % 2 === 0 ? cases : cases.toReversed()) {
    const { next } = await move(one, words)
    one.ttfts.push(next.ttftMs)
    promptTokens = next.promptTokens
  }
}
const cold = median(plain.ttfts)
printTable([
  ['its instance', 'TTFT (ms, median)', 'least', 'most', 'of a cold prefill'],
  ...cases.map(({ name, ttfts }) => [
    name,
    median(ttfts),
    Math.min(...ttfts),
    Math.max(...ttfts),
    median(ttfts) / cold,
  ]),
])
console.log(`\na prompt of ${promptTokens} tokens; wanted: at most 0.1 of a cold prefill`)
process.exit(0)
