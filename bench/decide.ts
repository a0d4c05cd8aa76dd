/** What a routing decision costs, by the number of instances and of prefix blocks: microseconds, and their growth. */
import {
  createDispatcher,
  createPredictor,
  createPrefixIndex,
  type DispatchRequest,
  filterCandidates,
  idBlocks,
  policies,
} from '../src/routing/index.ts'

const promptBlocks = 200
const decisions = 20_000

console.log(
  `Deciding (predicted_finish), prompts of ${promptBlocks} blocks of which half are shared; ${decisions} decisions each`,
)
console.log('instances   records      p50 µs   p99 µs   p99, of the smallest')
// The first thousands are slow because V8 has not compiled them yet.
measure(100, 10_000)
let smallest: number | undefined
for (const [instances, records] of [
  [10, 10_000],
  [10, 1_000_000],
  [100, 100_000],
  [1000, 10_000],
  [1000, 100_000],
  [1000, 1_000_000],
] as const) {
  const { p50, p99, held } = measure(instances, records)
  smallest ??= p99
  console.log(
    `${String(instances).padStart(9)}   ${String(held).padStart(8)}   ${p50.toFixed(1).padStart(8)} ${p99.toFixed(1).padStart(8)}   ${(p99 / smallest).toFixed(2).padStart(8)}`,
  )
}

function measure(count: number, records: number) {
  const random = randomFrom(7)
  const prefix = createPrefixIndex({ budgetBytes: 2 ** 29, maxAgeMs: Number.POSITIVE_INFINITY })
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
  const conversations = Math.ceil(records / (promptBlocks / 2))
  for (let index = 0; index < conversations; index++) run(index, promptBlocks / 2, index)
  const times: number[] = []
  for (let index = 0; index < decisions; index++) {
    times.push(run(Math.floor(random() * conversations), promptBlocks, conversations + index))
  }
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.floor(times.length * share)] ?? 0
  return { p50: at(0.5), p99: at(0.99), held: prefix.stats().records }
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
