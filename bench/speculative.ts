/**
 * Speculative decoding: a large model with a small one that guesses ahead, against the large one alone. The large one
 * is the bundled model with layers added that change nothing, so both agree as often as a model and its draft ever do;
 * the draft is the bundled model itself, and once more in four bits, which agrees less often. The texts have to be the
 * same. What is measured is the machinery and its limit: a pair of real models agrees on less.
 *
 *   node bench/speculative.ts [--layers 96] [--guesses 3,8] [--rounds 3] [--threads 1] [--model FILE --draft FILE]
 */
import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { createLlamaCppEngine, type DraftSpec, type EngineInstance } from '../src/engines/index.ts'
import { asked, specOf } from '../test/support/engine-contract/bench.ts'
import { answerOf, never } from '../test/support/llama-bench.ts'
import { ensureLlamaServer, testEnginesDir } from '../test/support/llama-server.ts'
import { deepenGguf } from '../tools/deepen.ts'
import { machineLine } from './support/process.ts'
import { scratchFolder } from './support/servers.ts'
import { median, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: {
    layers: { type: 'string', default: '96' },
    guesses: { type: 'string', default: '3,8' },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: '1' },
    model: { type: 'string' },
    draft: { type: 'string' },
  },
})

const folder = scratchFolder()
const serverPath = await ensureLlamaServer()
const engineHere = () =>
  createLlamaCppEngine({
    serverPath,
    enginesDir: testEnginesDir,
    runDir: join(folder, 'run'),
    log: () => undefined,
  })
const bundled = join(import.meta.dirname, '../assets/drover-tiny.gguf')
const modelPath = flags.model ?? join(folder, 'deep.gguf')
if (flags.model === undefined) await deepenGguf(bundled, modelPath, Number(flags.layers))
const drafts =
  flags.draft === undefined ? { itself: bundled, 'in 4 bits': inFourBits() } : { draft: flags.draft }

const prompts = [
  'What is the capital of France?',
  'What is 3 plus 4?',
  'Who wrote Hamlet?',
  'Tell me a story about a sheep.',
  'How do I cook rice?',
].map(asked)

interface Subject {
  name: string
  instance: EngineInstance
  rates: number[]
  texts: string[]
}

async function launch(name: string, draft?: DraftSpec): Promise<Subject> {
  const threads = Number(flags.threads)
  const spec = specOf(modelPath, {
    id: `bench-${subjects.length}`,
    slots: 1,
    contextLength: 1024,
    threads,
    ...(draft && { draft }),
  })
  return { name, instance: await engineHere().launch(spec, never), rates: [], texts: [] }
}

const subjects: Subject[] = []
subjects.push(await launch('alone'))
for (const [name, path] of Object.entries(drafts)) {
  for (const mostTokens of flags.guesses.split(',').map(Number)) {
    subjects.push(await launch(`draft ${name}, ${mostTokens} guesses`, { modelPath: path, mostTokens }))
  }
}
// In turns, prompt by prompt, so that what else the machine does slows all alike; the first round warms up.
for (let round = 0; round <= Number(flags.rounds); round++) {
  for (const prompt of prompts) {
    for (const { instance, rates, texts } of subjects) {
      const { text, done } = await answerOf(instance, { prompt, maxTokens: 120 })
      texts.push(text)
      if (round > 0) rates.push(((done.usage.outputTokens - 1) * 1000) / done.usage.outputMs)
    }
  }
}

const [alone] = subjects as [Subject, ...Subject[]]
const rows = subjects.map(({ name, instance, rates, texts }) => {
  const figures = instance.speculation?.()
  const same = texts.every((text, index) => text === alone.texts[index])
  if (!same) process.exitCode = 1
  return [
    name,
    median(rates),
    median(rates.map((rate, index) => rate / (alone.rates[index] ?? Number.NaN))),
    figures ? figures.acceptedTokens / figures.draftTokens : '',
    figures?.verdict ?? '',
    same ? 'same' : 'OTHER',
  ]
})
await Promise.all(subjects.map(({ instance }) => instance.close()))
console.log(`${machineLine()}; ${flags.threads} thread(s), median of ${flags.rounds} rounds\n`)
printTable([['', 'tokens/s', 'speed-up', 'guesses taken', 'verdict', 'text'], ...rows])
process.exit()

function inFourBits(): string {
  const path = join(folder, 'draft-q4.gguf')
  const quantize = join(dirname(serverPath), 'llama-quantize')
  execFileSync(quantize, ['--allow-requantize', bundled, path, 'Q4_0'], { stdio: 'ignore' })
  return path
}
