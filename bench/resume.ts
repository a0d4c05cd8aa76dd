/**
 * Many streams while instances are killed under them: `kill -9` of one instance every few seconds, then the same work at
 * the same concurrency undisturbed, whose texts tell what of a difference is the engine's own rounding (llama.cpp's may
 * depend on what else is in its batch).
 *
 * With `--trained` the model is the bundled one, asked what it has learnt: there rounding hardly ever changes a word, so
 * that a lost or doubled piece of text is seen.
 *
 *   node bench/resume.ts [--engine llama.cpp] [--streams 200] [--seconds 120] [--every 3] [--tokens 48] [--trained]
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { DeviceReport } from '../src/api/index.ts'
import { openStore } from '../src/models/index.ts'
import { importDemoModel } from '../src/server/demo.ts'
import { quietLog } from '../test/support/quiet-log.ts'
import { seededRandom } from '../tools/model/corpus/random.ts'
import { wordsOf } from './support/chats.ts'
import { machineLine } from './support/process.ts'
import { scratchFolder, startDrover, storeOf } from './support/servers.ts'
import { percentile, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: {
    engine: { type: 'string', default: 'llama.cpp' },
    streams: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '120' },
    every: { type: 'string', default: '3' },
    tokens: { type: 'string', default: '48' },
    trained: { type: 'boolean', default: false },
  },
})
const streams = Number(flags.streams)
const tokens = Number(flags.tokens)
const folder = scratchFolder()
const modelsDir = `${folder}/models`
const { model, prompts } = flags.trained ? await trained() : await synthetic()

/** A model of random weights, whose answers are as long as is asked for. */
async function synthetic() {
  const shape = { layers: 4, dim: 256, heads: 8, ffn: 704, vocab: 4096, context: 2048 } as const
  await storeOf(modelsDir, 'bench', { ...shape, endless: true, type: 'Q8_0' })
  const prompts = Array.from({ length: 500 }, (_, index) => {
    return `${index} ${wordsOf(30, seededRandom(index + 1).int)}`
  })
  return { model: 'bench', prompts }
}

async function trained() {
  const { displayName } = await importDemoModel(await openStore({ root: modelsDir, log: quietLog }))
  const facts = readFileSync(join(import.meta.dirname, '../assets/drover-tiny.facts.json'), 'utf8')
  return { model: displayName, prompts: (JSON.parse(facts) as { question: string }[]).map(chatOf) }
}

function chatOf({ question }: { question: string }): string {
  return `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`
}

interface Outcome {
  answers: number
  errors: string[]
  /** Answers without just the wanted number of tokens. */
  wrongLength: number
  texts: Map<number, Set<string>>
  /** Milliseconds between two pieces of a stream, the first one after the first piece. */
  gapsMs: number[]
  kills: number
}

interface Line {
  response?: string
  error?: string
  done?: boolean
  eval_count?: number
}

console.log(machineLine())
const quiet = await run(false)
const killed = await run(true)
report(quiet, killed)
process.exit(0)

async function run(kills: boolean): Promise<Outcome> {
  const drover = await startDrover({
    folder,
    modelsDir,
    engine: flags.engine,
    env: {
      DROVER_DEVICES: 'cpu:0,cpu:1',
      DROVER_GPU_INSTANCES: '{"cpu:0": {"instances": 2}, "cpu:1": {"instances": 2}}',
      DROVER_JOIN_REQUESTS: 'false',
      OLLAMA_NUM_PARALLEL: '4',
      OLLAMA_CONTEXT_LENGTH: '512',
      OLLAMA_MAX_QUEUE: '2000',
    },
  })
  const outcome: Outcome = { answers: 0, errors: [], wrongLength: 0, texts: new Map(), gapsMs: [], kills: 0 }
  const endsAtMs = performance.now() + Number(flags.seconds) * 1000
  let nextPrompt = 0
  const client = async () => {
    while (performance.now() < endsAtMs) await stream(drover.origin, nextPrompt++ % prompts.length, outcome)
  }
  const clients = Array.from({ length: streams }, client)
  while (kills && performance.now() < endsAtMs) {
    await sleep(Number(flags.every) * 1000)
    const [pid] = await readyPids(drover.origin, outcome.kills)
    if (pid === undefined) continue
    process.kill(pid, 'SIGKILL')
    outcome.kills++
  }
  await Promise.all(clients)
  await drover.stop()
  return outcome
}

/** The instances' processes, another one first each time. */
async function readyPids(origin: string, turn: number): Promise<number[]> {
  const { devices } = (await (await fetch(`${origin}/api/devices`)).json()) as DeviceReport
  const instances = devices.flatMap((device) => device.instances)
  const pids = [...new Set(instances.filter(({ state }) => state === 'ready').map(({ pid }) => pid))].sort()
  const first = pids.length === 0 ? 0 : turn % pids.length
  return [...pids.slice(first), ...pids.slice(0, first)]
}

async function stream(origin: string, prompt: number, outcome: Outcome): Promise<void> {
  const body = {
    model,
    prompt: prompts[prompt],
    raw: true,
    options: { temperature: 0, num_predict: tokens },
  }
  let text = ''
  let last: Line = {}
  try {
    const response = await fetch(`${origin}/api/generate`, { method: 'POST', body: JSON.stringify(body) })
    let tail = ''
    let lastAtMs: number | undefined
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? []) {
      const nowMs = performance.now()
      if (lastAtMs !== undefined) outcome.gapsMs.push(nowMs - lastAtMs)
      lastAtMs = nowMs
      const lines = (tail + decoder.decode(chunk, { stream: true })).split('\n')
      tail = lines.pop() ?? ''
      for (const line of lines) {
        last = JSON.parse(line) as Line
        text += last.response ?? ''
      }
    }
    if (!response.ok || last.error !== undefined || !last.done) {
      outcome.errors.push(`${response.status} ${last.error ?? tail.slice(0, 200)}`)
      return
    }
  } catch (error) {
    outcome.errors.push(String(error))
    return
  }
  outcome.answers++
  if (!flags.trained && last.eval_count !== tokens) outcome.wrongLength++
  const texts = outcome.texts.get(prompt) ?? new Set()
  outcome.texts.set(prompt, texts.add(text))
}

/** Of the prompts that both runs have answered, the share whose answers were all one text. */
function equalShare(one: Outcome, other: Outcome): number {
  const both = [...one.texts].filter(([prompt]) => other.texts.has(prompt))
  const equal = both.filter(
    ([prompt, texts]) => new Set([...texts, ...(other.texts.get(prompt) ?? [])]).size === 1,
  )
  return both.length === 0 ? 0 : equal.length / both.length
}

function report(calm: Outcome, wild: Outcome): void {
  const row = (name: string, of: (outcome: Outcome) => string | number) => [name, of(calm), of(wild)]
  const gap = (share: number) => (outcome: Outcome) => percentile(outcome.gapsMs, share).toFixed(0)
  printTable([
    ['', 'undisturbed', `kill -9 every ${flags.every} s`],
    row('instances killed', ({ kills }) => kills),
    row('answers', ({ answers }) => answers),
    row('errors that a client saw', ({ errors }) => errors.length),
    row('answers with a token too many or too few', ({ wrongLength }) => wrongLength),
    row('prompts with one text only, within the run', (outcome) => equalShare(outcome, outcome).toFixed(4)),
    row('prompts with one text only, with the undisturbed run', (outcome) =>
      equalShare(calm, outcome).toFixed(4),
    ),
    row('gap between pieces, p50 ms', gap(0.5)),
    row('gap between pieces, p99 ms', gap(0.99)),
    row('gap between pieces, longest ms', gap(1)),
  ])
  for (const error of new Set([...calm.errors, ...wild.errors])) console.log(`error: ${error}`)
}
