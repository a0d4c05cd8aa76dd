/** What an engine evicts, from libzmq's frames to the decision where the next prompt goes. */
import { afterEach, expect, it } from 'vitest'
import { specOf } from '../../test/support/engine-contract/bench.ts'
import { publishEvents, socketPlace } from '../../test/support/kv-events.ts'
import { request as completion, never } from '../../test/support/llama-bench.ts'
import { startReplay } from '../../test/support/replay-server.ts'
import { systemClock } from '../core/index.ts'
import { createVllmEngine } from '../engines/index.ts'
import { createAdmissionQueue } from './admission/index.ts'
import { createDispatcher, type DispatchRequest } from './dispatch/index.ts'
import { filterCandidates, policies } from './policy/index.ts'
import { createLease } from './pool/lease.ts'
import { createPredictor } from './prediction/index.ts'
import { shapeLike } from './prediction/testing.ts'
import { createPrefixIndex, textBlocks } from './prefix/index.ts'
import { startRun } from './run.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

/** A character is a token. */
const prompt = 'what is said here was said before, word by word,'
const tokens = [...prompt].map((letter) => letter.charCodeAt(0))
const blockTokens = 8

async function vllm() {
  const place = await socketPlace()
  open.push({ close: place.remove })
  const events = await publishEvents(place.endpoint)
  open.push(events)
  const choice = { text: 'so', token_ids: [7], prompt_token_ids: tokens, finish_reason: 'stop' }
  const server = await startReplay({
    'GET /v1/models': { json: { data: [{ id: 'contract', owned_by: 'vllm', max_model_len: 4096 }] } },
    'GET /health': { text: '' },
    'POST /tokenize': { json: { tokens } },
    'POST /detokenize': { json: { prompt: 'words' } },
    'POST /v1/completions': { events: [{ choices: [choice] }, 'DONE'] },
  })
  open.push(server)
  const engine = createVllmEngine({
    targets: [{ url: server.url, kind: 'vllm', kvEvents: place.endpoint }],
    modelFolders: new Map(),
    runDir: '/nowhere',
    log: () => undefined,
  })
  const instance = await engine.launch(specOf('/m'), never)
  open.push(instance)
  await events.subscribed()
  return { instance, events }
}

it('a prompt that an engine has evicted does not count as held there any more', async () => {
  const { instance, events } = await vllm()
  const dispatcher = createDispatcher({
    policies,
    defaultPolicy: 'predicted_finish',
    filter: filterCandidates,
    prefix: createPrefixIndex({ budgetBytes: 2 ** 16, maxAgeMs: Number.POSITIVE_INFINITY }),
    blockTokens,
    predictor: createPredictor(),
    random: () => 0,
  })
  for (const id of [1, 2]) {
    const slots = { slots: 4, contextLength: 4096, kvTokens: 4096, weight: 1 }
    dispatcher.add({ id, key: 'm', kind: 'vllm', deviceIds: [`gpu:${id}`], ...slots }, 0)
  }
  const blocks = textBlocks(prompt, { salt: '', blockBytes: blockTokens, bytesPerToken: 1 })
  const request = (id: number): DispatchRequest => {
    const route = { tenant: '', promptTokens: tokens.length + 8, outputTokens: 8, shape: shapeLike() }
    return { id, key: 'm', ...route, blocks }
  }
  let wake: () => void = () => undefined
  const told = () =>
    new Promise<void>((resolve) => {
      wake = resolve
    })
  const books = {
    ...dispatcher,
    cacheShrunk(...shrunk: Parameters<typeof dispatcher.cacheShrunk>) {
      dispatcher.cacheShrunk(...shrunk)
      wake()
    },
  }
  const cachedTokens = () => {
    const { ranked } = dispatcher.decide(request(99), { nowMs: 1 })
    return ranked.find(({ candidate }) => candidate.id === 1)?.candidate.cachedTokens
  }

  const asked = request(1)
  const decision = dispatcher.decide(asked, { nowMs: 0 })
  const limits = { promoteAfterMs: { system: 1, interactive: 1, default: 1, bulk: 1 } }
  const lease = createLease(
    {
      entryId: 1,
      instance,
      waiterId: asked.id,
      decision,
      request: asked,
      queued: { ms: 0, position: 0 },
      leaving: never,
      released: () => undefined,
    },
    {
      dispatcher: books,
      queue: createAdmissionQueue({ maxWaiting: 1, outputWeight: 1, ...limits }),
      clock: systemClock,
    },
  )
  const run = await startRun({
    acquire: async () => lease,
    hasOther: () => false,
    prepare: async () => undefined,
    rescue: async () => undefined,
    moved: () => undefined,
    retries: { deposit: () => undefined, withdraw: () => false, backoffMs: () => 0 },
    clock: systemClock,
    random: () => 0,
    signal: never,
  })
  for await (const _ of run.generate(completion({ prompt }), never)) {
    // To its end.
  }
  run.end({ outcome: 'answered' })
  expect(cachedTokens()).toBe(48)

  let again = told()
  await events.publish([['BlockStored', [1, 2, 3], null, tokens, 16]])
  await events.publish([['BlockRemoved', [3]]])
  await again
  expect(cachedTokens()).toBe(32)
  again = told()
  await events.publish([['BlockRemoved', [2, 1]]])
  await again
  expect(cachedTokens()).toBe(0)
})
