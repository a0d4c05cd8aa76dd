/**
 * What routing is worth where conversations come back: the time to the first token under each policy, on two real
 * instances of one core each. Conversations of several turns share a few long system prompts; they arrive at random
 * (seeded), the same for each policy, as fast as keeps the cores busy for `--busy` of the time if nothing is computed
 * twice. Each policy has a fresh server, whose instances have answered a few requests before.
 *
 *   node bench/chats.ts [--engine llama.cpp] [--policies predicted_finish,round_robin,...] [--rounds 1] [--busy 0.65]
 *       [--chats 16] [--turns 5] [--systems 6] [--slots 4] [--seed 1]
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { seededRandom } from '../tools/model/corpus/random.ts'
import { holdChats, planChats, wordsOf } from './support/chats.ts'
import { askChat, type Chat, type ChatAnswer } from './support/ollama.ts'
import { cpuMs, machineLine } from './support/process.ts'
import { type Drover, pidOn, scratchFolder, startDrover, storeOf } from './support/servers.ts'
import { percentile, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: {
    engine: { type: 'string', default: 'llama.cpp' },
    policies: { type: 'string', default: 'predicted_finish,round_robin,least_loaded,prefix,kv_cost' },
    rounds: { type: 'string', default: '1' },
    busy: { type: 'string', default: '0.65' },
    chats: { type: 'string', default: '16' },
    turns: { type: 'string', default: '5' },
    systems: { type: 'string', default: '6' },
    slots: { type: 'string', default: '4' },
    seed: { type: 'string', default: '1' },
  },
})
const devices = ['cpu:0', 'cpu:1']
const model = 'bench'
const maxTokens = 16
const policies = flags.policies.split(',')
const shape = {
  chats: Number(flags.chats),
  turns: Number(flags.turns),
  systems: Number(flags.systems),
  systemWords: 420,
  userWords: 40,
  seed: Number(flags.seed),
}

const folder = scratchFolder()
const modelsDir = `${folder}/models`
const requestLog = `${folder}/requests.jsonl`
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

/** A server whose two instances are loaded and have answered. */
async function serve(policy: string): Promise<Drover & { pids: number[] }> {
  const drover = await startDrover({
    folder,
    modelsDir,
    engine: flags.engine,
    env: {
      DROVER_DEVICES: devices.join(','),
      DROVER_POLICY: policy,
      DROVER_REQUEST_LOG: requestLog,
      OLLAMA_NUM_PARALLEL: flags.slots,
      OLLAMA_CONTEXT_LENGTH: '4096',
    },
  })
  const { int } = seededRandom(shape.seed + 1)
  for (let count = 0; count < 3; count++) {
    const prompts = devices.map(() => wordsOf(150, int))
    await Promise.all(prompts.map((prompt, at) => ask(drover, prompt, devices[at] ?? '')))
  }
  const pids = await Promise.all(devices.map((id) => pidOn(drover.origin, id)))
  return { ...drover, pids: pids.flatMap((pid) => pid ?? []) }
}

function ask({ origin }: Drover, prompt: string, pin: string): Promise<ChatAnswer> {
  const headers = { 'x-drover-pin': pin }
  return askChat([{ role: 'user', content: prompt }], { origin, model, maxTokens, headers })
}

/** How long all conversations would keep one core busy if no token were computed twice, while the other works too. */
async function workMs(drover: Drover): Promise<number> {
  const { int } = seededRandom(shape.seed + 2)
  const timed = async (words: number) => {
    const answers = await Promise.all(devices.map((id) => ask(drover, wordsOf(words, int), id)))
    const mean = (of: (answer: ChatAnswer) => number) =>
      answers.reduce((sum, answer) => sum + of(answer), 0) / answers.length
    return { ttftMs: mean(({ ttftMs }) => ttftMs), totalMs: mean(({ totalMs }) => totalMs) }
  }
  const first = await timed(shape.systemWords + shape.userWords)
  const next = await timed(shape.userWords)
  return shape.chats * (first.totalMs + (shape.turns - 1) * next.totalMs)
}

interface Result {
  answers: ChatAnswer[]
  cachedShare: number
  busyShare: number
}

async function measure(policy: string, spanMs: number): Promise<Result> {
  const drover = await serve(policy)
  await sleep(flushMs)
  const logged = readRequests().length
  const busyBefore = cpuOf(drover.pids)
  const startMs = performance.now()
  const answers = await holdChats(planChats(shape, spanMs), (messages: Chat) =>
    askChat(messages, { origin: drover.origin, model, maxTokens }),
  )
  const tookMs = performance.now() - startMs
  const busyShare = (cpuOf(drover.pids) - busyBefore) / (tookMs * devices.length)
  await sleep(flushMs)
  const requests = readRequests().slice(logged)
  await drover.stop()
  const sum = (of: (request: Logged) => number) => requests.reduce((total, one) => total + of(one), 0)
  return { answers, busyShare, cachedShare: sum((one) => one.cachedTokens) / sum((one) => one.promptTokens) }
}

const cpuOf = (pids: readonly number[]) => pids.reduce((sum, pid) => sum + cpuMs(pid), 0)

/** The log is written once a second. */
const flushMs = 1500

interface Logged {
  promptTokens: number
  cachedTokens: number
}

function readRequests(): Logged[] {
  const lines = readFileSync(requestLog, 'utf8').trim().split('\n')
  return lines.map((line) => JSON.parse(line) as Logged)
}

const calibration = await serve('predicted_finish')
const spanMs = (await workMs(calibration)) / devices.length / Number(flags.busy)
await calibration.stop()

const { chats, turns, systems } = shape
console.log(
  `${machineLine()}\nengine ${flags.engine}, ${flags.slots} slots an instance; ${chats} conversations of ${turns} turns, ` +
    `${systems} system prompts, ${maxTokens} tokens an answer; about ${(spanMs / 1000).toFixed(0)} s a run\n`,
)
const results = new Map<string, Result[]>(policies.map((policy) => [policy, []]))
for (let round = 0; round < Number(flags.rounds); round++) {
  for (const policy of round % 2 === 0 ? policies : policies.toReversed()) {
    results.get(policy)?.push(await measure(policy, spanMs))
  }
}

const meanOf = (samples: readonly number[]) => samples.reduce((sum, one) => sum + one, 0) / samples.length
const rows = [...results].map(([policy, rounds]) => {
  const answers = rounds.flatMap((round) => round.answers)
  const ttfts = answers.map(({ ttftMs }) => ttftMs)
  return {
    policy,
    answers,
    ttfts,
    meanMs: meanOf(ttfts),
    cachedShare: meanOf(rounds.map(({ cachedShare }) => cachedShare)),
    busyShare: meanOf(rounds.map(({ busyShare }) => busyShare)),
  }
})
const meanMsOf = (policy: string) => rows.find((row) => row.policy === policy)?.meanMs ?? Number.NaN
const own = meanMsOf('predicted_finish')
printTable([
  ['policy', 'mean TTFT (ms)', 'p50', 'p99', 'prompt tokens cached', 'cores busy', 'predicted_finish to it'],
  ...rows.map(({ policy, ttfts, meanMs, cachedShare, busyShare }) => [
    policy,
    meanMs,
    percentile(ttfts, 0.5),
    percentile(ttfts, 0.99),
    cachedShare,
    busyShare,
    own / meanMs,
  ]),
])
const prompts = rows.flatMap(({ answers }) => answers.map(({ promptTokens }) => promptTokens))
console.log(
  `\nprompts of ${Math.min(...prompts)} to ${Math.max(...prompts)} tokens; wanted: at most 0.5 of round_robin and 0.7 of least_loaded`,
)
process.exit(0)
