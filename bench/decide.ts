/**
 * What a routing decision costs, by the number of instances and of prefix blocks: microseconds, and their growth.
 *
 * The same decisions, to the last random number, are taken in `--rounds` runs, and of each decision the median counts: what
 * another process took of the machine falls on another decision in each, what the decision itself takes does not.
 *
 *   node bench/decide.ts [--rounds 3] [--decisions 10000]
 */
import { parseArgs } from 'node:util'
import {
  createDispatcher,
  createPredictor,
  createPrefixIndex,
  type DispatchRequest,
  filterCandidates,
  idBlocks,
  policies,
} from '../src/routing/index.ts'
import { machineLine } from './support/process.ts'
import { median, percentile, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, decisions: { type: 'string', default: '10000' } },
})
const promptBlocks = 200
const rounds = Number(flags.rounds)
const decisions = Number(flags.decisions)

console.log(
  `${machineLine()}\nDeciding (predicted_finish), prompts of ${promptBlocks} blocks of which half are shared; ` +
    `${decisions} decisions, of each the median of ${rounds} runs\n`,
)
// The first thousands are slow because V8 has not compiled them yet.
measure(100, 10_000)
const smallest = new Map<string, number>()
const rows: string[][] = [['instances', 'blocks', 'p50 µs', 'p99 µs', 'p99, of the smallest']]
for (const instances of [10, 100, 1000, 10_000]) row('instances', instances, 1_000_000)
for (const blocks of [10_000, 100_000, 1_000_000, 4_000_000]) row('blocks', 1000, blocks)
printTable(rows)

function row(series: string, instances: number, blocks: number): void {
  const runs = Array.from({ length: rounds }, () => measure(instances, blocks))
  const times = Array.from({ length: decisions }, (_, index) =>
    median(runs.map((run) => run.times[index] ?? 0)),
  )
  const p99 = percentile(times, 0.99)
  const first = smallest.get(series) ?? p99
  smallest.set(series, first)
  rows.push([
    String(instances),
    String(runs[0]?.held),
    median(times).toFixed(1),
    p99.toFixed(1),
    (p99 / first).toFixed(2),
  ])
}

function measure(count: number, records: number) {
  const random = randomFrom(7)
  const prefix = createPrefixIndex({ budgetBytes: 2 ** 30, maxAgeMs: Number.POSITIVE_INFINITY })
  const dispatcher = createDispatcher({
    policies,
    defaultPolicy: 'predicted_finish',
    filter: filterCandidates,
    prefix,
    blockTokens: 64,
    predictor: createPredictor(),
    random,
  })
  for (let id = 1; id <= count; id++) {
    dispatcher.add(
      {
        id,
        key: 'm',
        kind: 'card',
        deviceIds: [`gpu:${id}`],
        slots: 8,
        contextLength: 65_536,
        kvTokens: 64 * 10_000_000,
        weight: 1,
      },
      0,
    )
  }
  let nextId = 1
  const run = (conversation: number, length: number, nowMs: number) => {
    const asked = requestOf(nextId++, conversation, length)
    const startedAt = performance.now()
    const decision = dispatcher.decide(asked, { nowMs })
    const took = (performance.now() - startedAt) * 1000
    dispatcher.started(asked, decision.ranked[0]?.candidate.id ?? 0, decision, nowMs)
    dispatcher.firstToken(asked.id, nowMs + 1)
    const computed = asked.promptTokens - (decision.predicted?.cachedTokens ?? 0)
    const usage = {
      promptTokens: asked.promptTokens,
      cachedTokens: asked.promptTokens - computed,
      outputTokens: 100,
      promptMs: computed / 8,
      outputMs: 1000,
    }
    if (asked.id % 3 > 0) dispatcher.ended(asked.id, { outcome: 'answered', usage }, nowMs + 2)
    else running.push(asked.id)
    // A quarter of the slots is taken.
    if (running.length > count * 2)
      dispatcher.ended(running.shift() ?? 0, { outcome: 'answered', usage }, nowMs + 2)
    return took
  }
  const running: number[] = []
  // As many blocks as asked for are there before the measured decisions, which add some.
  const conversations = Math.ceil(records / (promptBlocks / 2))
  for (let index = 0; index < conversations; index++) run(index, promptBlocks / 2, index)
  const { records: held } = prefix.stats()
  const times: number[] = []
  for (let index = 0; index < decisions; index++) {
    times.push(run(Math.floor(random() * conversations), promptBlocks, conversations + index))
  }
  return { times, held }
}

function requestOf(id: number, conversation: number, length: number): DispatchRequest {
  const promptTokens = length * 64 + 5
  const ids = Array.from({ length }, (_, index) => conversation * 1000 + index)
  return {
    id,
    key: 'm',
    tenant: 't',
    promptTokens,
    outputTokens: 100,
    shape: {
      model: 'm',
      tenant: 't',
      kind: 'chat',
      promptTokens,
      tools: false,
      format: false,
      thinking: false,
    },
    blocks: idBlocks(ids, 's', 64, promptTokens),
  }
}

function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
}
