import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/models/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { gistOf } from '../support/answer-gist.ts'
import {
  type Ask,
  askAndStrike,
  askQuietly,
  type Blow,
  haveInstances,
  instancesOf,
  killed,
} from '../support/cut-answers.ts'
import { getJson, isAlive, post, startDrover, type TestDrover, until } from '../support/drover.ts'
import { bothEngines, engineEnv } from '../support/engines.ts'
import { quietLog } from '../support/quiet-log.ts'

/** How often each answer is cut at each of its points in a long run. */
const rounds = Number(process.env['DROVER_TEST_ROUNDS'] ?? 0)
/** One request at a time: how llama.cpp rounds may depend on what is computed together. */
const twoDevices = { DROVER_DEVICES: 'cpu:0,cpu:1', OLLAMA_NUM_PARALLEL: '1' }

let home: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'drover-resume-'))
  const store = await openStore({ root: home, log: quietLog })
  const path = join(home, 'vectors.gguf')
  const shape = { architecture: 'llama', layers: 4, dim: 256, heads: 4, context: 2048, type: 'F16' } as const
  await writeSyntheticGguf(path, { ...shape, embeddingModel: true })
  await store.importGguf('vectors', { path })
  await rm(path)
})
afterAll(() => rm(home, { recursive: true }))

const user = (content: string) => [{ role: 'user', content }]
const spain = user('What is the capital of Spain?')
const weather = user('What is the weather in Paris?')
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const described = { name: 'get_weather', description: 'Get the weather', parameters }
const tools = [{ type: 'function', function: described }]
const capital = {
  type: 'object',
  properties: { country: { type: 'string' }, capital: { type: 'string' } },
  required: ['country', 'capital'],
}
const options = { temperature: 0, seed: 1 }
/** The bundled model is trained: rounding, which is another where a prompt is computed at once, changes no word of it. */
const free = {
  model: 'drover',
  prompt: '<|im_start|>user\nWhat is the capital of Sweden?<|im_end|>\n<|im_start|>assistant\n',
  raw: true,
  options,
}

interface Case {
  name: string
  path: string
  body: Ask['body']
  /** The answer is cut at these points, each list a run of its own. */
  cuts: readonly (readonly number[])[]
}

const cases: Case[] = [
  { name: 'raw text', path: '/api/generate', body: free, cuts: [[0], [1, 20]] },
  {
    name: 'text with its context',
    path: '/api/generate',
    body: { model: 'drover', prompt: 'What is the capital of Italy?', options },
    cuts: [[1], [9]],
  },
  {
    name: 'text with probabilities',
    path: '/api/generate',
    body: { ...free, logprobs: true, top_logprobs: 2 },
    cuts: [[12]],
  },
  {
    name: 'characters of several tokens',
    path: '/api/generate',
    body: { ...free, format: { const: 'žlutý 日本語 🐑👩‍👩‍👧 ∑ — ≤ ß' } },
    cuts: [[2], [6, 9]],
  },
  {
    name: 'a chat that thinks',
    path: '/api/chat',
    body: { model: 'drover', messages: spain, options },
    cuts: [[0, 2], [8], [17], [20]],
  },
  {
    name: 'a chat that does not',
    path: '/api/chat',
    body: { model: 'drover', messages: spain, think: false, options },
    cuts: [[3]],
  },
  {
    name: 'a chat that comes whole',
    path: '/api/chat',
    body: { model: 'drover', messages: spain, stream: false, options },
    cuts: [[3], [9]],
  },
  {
    name: 'a chat with a tool',
    path: '/api/chat',
    body: { model: 'drover', messages: weather, tools, options },
    cuts: [[2, 9], [13], [14]],
  },
  {
    name: 'a chat with a tool that comes whole',
    path: '/api/chat',
    body: { model: 'drover', messages: weather, tools, stream: false, options },
    cuts: [[18], [26]],
  },
  {
    name: 'JSON behind a thought',
    path: '/api/chat',
    body: { model: 'drover', messages: spain, format: 'json', options },
    cuts: [[10, 20], [25]],
  },
  {
    name: 'JSON by a schema',
    path: '/api/chat',
    body: { model: 'drover', messages: spain, think: false, format: capital, options },
    cuts: [[1], [4, 7]],
  },
  {
    name: "OpenAI's stream",
    path: '/v1/chat/completions',
    body: {
      model: 'drover',
      messages: weather,
      tools,
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0,
    },
    cuts: [[2], [12]],
  },
  {
    name: "OpenAI's whole answer",
    path: '/v1/chat/completions',
    body: { model: 'drover', messages: spain, stream: false, temperature: 0 },
    cuts: [[6]],
  },
  {
    name: "Anthropic's stream",
    path: '/v1/messages',
    body: {
      model: 'drover',
      messages: weather,
      max_tokens: 100,
      tools: [{ name: described.name, input_schema: parameters }],
      stream: true,
      temperature: 0,
    },
    cuts: [[6], [14, 26]],
  },
  {
    name: "Anthropic's whole answer",
    path: '/v1/messages',
    body: { model: 'drover', messages: spain, max_tokens: 100, stream: false, temperature: 0 },
    cuts: [[6]],
  },
]

/**
 * What becomes of the text is the same code on both engines: all cuts are made on the one that starts at once, the first
 * of each on the other. A long run makes all of them on both.
 */
function cutsOn(engine: string, cuts: Case['cuts']): Case['cuts'] {
  if (rounds > 0) return Array.from({ length: rounds }, () => cuts).flat()
  return engine === 'llama.cpp' ? cuts : cuts.slice(0, 1)
}

/** Ollama streams unless it is told not to; the others do not unless they are. */
const streams = ({ path, body }: Ask) =>
  path.startsWith('/api/') ? body.stream !== false : body.stream === true

describe.each(bothEngines)('an answer whose engine is killed, on the %s engine', (engine) => {
  let drover: TestDrover
  beforeAll(async () => {
    const env = { ...(await engineEnv(engine)), ...twoDevices, DROVER_HANG_TIMEOUT: '5m' }
    drover = await startDrover({ modelsDir: home, env })
  })
  afterAll(() => drover.stop())

  it.each(cases)(
    'is $name, as if nothing had happened',
    async ({ path, body, cuts }) => {
      const ask = { path, body }
      const quiet = await askQuietly(drover, ask)
      expect(quiet.status, quiet.text).toBe(200)
      const expected = gistOf(path, streams(ask), quiet.text)
      for (const points of cutsOn(engine, cuts)) {
        const cut = await askAndStrike(drover, ask, killed, points)
        expect(gistOf(path, streams(ask), cut.text), `cut at ${points}`).toEqual(expected)
        expect([cut.status, cut.moves]).toEqual([200, points.length])
        expect(cut.headers.get('x-drover-instance')).toMatch(/^#\d+ cpu:[01]$/)
        expect(cut.headers.get('x-drover-route')).toMatch(/^predicted_finish .*first token in \d+ ms/)
        expect(cut.headers.get('x-request-id')).toMatch(/^cut-/)
      }
    },
    180_000,
  )

  it('ends before its stop string, though that comes from two engines', async () => {
    const { text } = await askQuietly(drover, { path: '/api/generate', body: free })
    const { text: whole } = gistOf('/api/generate', true, text) as { text: string }
    const middle = Math.floor(whole.length / 2)
    // The last one stops it; of the others only the beginning comes.
    const begins = [4, middle - 6, middle - 2].map((at) => `${whole.slice(at, at + 2)}\u0001`)
    const stop = [...begins, whole.slice(middle, middle + 6)]
    const ask = { path: '/api/generate', body: { ...free, options: { ...free.options, stop } } }
    const expected = gistOf(ask.path, true, (await askQuietly(drover, ask)).text)
    expect(expected).toMatchObject({ done_reason: 'stop' })
    for (const points of [[1], [4, 12]]) {
      const cut = await askAndStrike(drover, ask, killed, points)
      expect(gistOf(ask.path, true, cut.text), `cut at ${points}`).toEqual(expected)
    }
  }, 120_000)

  it('is many vectors', async () => {
    const input = Array.from({ length: 140 }, (_, index) => `sheep number ${index} `.repeat(6))
    const ask = { path: '/api/embed', body: { model: 'vectors', input, stream: false } }
    const quiet = JSON.parse((await askQuietly(drover, ask)).text) as Vectors
    const cut = await askAndStrike(drover, ask, killed, [4])
    const { embeddings, prompt_eval_count } = JSON.parse(cut.text) as Vectors
    expect(cut.status, cut.text.slice(0, 300)).toBe(200)
    expect([embeddings.length, prompt_eval_count]).toEqual([input.length, quiet.prompt_eval_count])
    for (const [index, vector] of embeddings.entries()) {
      const alike = vector.reduce((sum, value, at) => sum + value * (quiet.embeddings[index]?.[at] ?? 0), 0)
      expect(alike, `vector ${index}`).toBeGreaterThan(0.9999)
    }
  }, 120_000)
})

describe.each(bothEngines)('an answer that outlasts its instance, on the %s engine', (engine) => {
  let drover: TestDrover
  beforeAll(async () => {
    const env = { ...(await engineEnv(engine)), ...twoDevices, DROVER_HANG_TIMEOUT: '3s' }
    drover = await startDrover({ modelsDir: home, env: { ...env, DROVER_HAND_OVER_AFTER: '0s' } })
  })
  afterAll(() => drover.stop())

  const ask = { path: '/api/chat', body: { model: 'drover', messages: weather, tools, options } }
  const gist = ({ text }: { text: string }) => gistOf('/api/chat', true, text)
  const queue = () => getJson<QueueStatus>(`${drover.url}/api/queue`)
  // One that leaves already still counts what it has not been able to hear of, as it stands still.
  const idOf = async () =>
    (await queue()).instances.find(({ state, running }) => state === 'ready' && running > 0)?.instance ?? 0

  const drained: Blow = async () => {
    const answer = await post(`${drover.url}/api/drain`, { instance: await idOf(), grace: '0s' })
    expect(answer.status, answer.text).toBe(200)
  }

  const restarted: Blow = async ({ model, pid }) => {
    const before = new Set((await instancesOf(drover, model)).map((one) => one.pid))
    const answering = await idOf()
    // They are replaced one after the other, in the order of their ids.
    const turn = (await queue()).instances.filter(({ instance }) => instance <= answering).length
    const { text } = await post(`${drover.url}/api/restart`, { model })
    expect(JSON.parse(text)).toMatchObject({ instances: 2 })
    await until('its successor is there', 30_000, async () => {
      // Where that takes long, it is taken for hung meanwhile, and needs no successor.
      if (!isAlive(pid)) return true
      const successors = (await instancesOf(drover, model)).filter((one) => !before.has(one.pid))
      return successors.length >= turn
    })
  }

  const hung: Blow = async ({ pid }) => {
    await until('the hang is noticed', 20_000, () => !isAlive(pid))
  }

  it.each([
    ['is drained', drained, [1, 4]],
    ['is restarted with all others', restarted, [6]],
    ['hangs', hung, [9]],
  ])(
    'goes on elsewhere when that %s',
    async (_what, blow, points) => {
      await haveInstances(drover, ask.body, 2)
      const quiet = await askQuietly(drover, ask)
      const before = (await instancesOf(drover, 'drover')).map(({ pid }) => pid)
      const moved = await askAndStrike(drover, ask, blow, points)
      expect(gist(moved)).toEqual(gist(quiet))
      expect(moved.moves).toBeGreaterThanOrEqual(points.length)
      const gone = () => before.filter((pid) => !isAlive(pid)).length >= points.length
      await until('who had to go is gone', 30_000, gone)
    },
    120_000,
  )

  it('is not given up while it waits for an instance that dies', async () => {
    const asks = ['Spain', 'Italy', 'France', 'Sweden'].map((country) => ({
      ...ask,
      body: { ...ask.body, messages: user(`What is the capital of ${country}?`) },
    }))
    const quiet: object[] = []
    for (const one of asks) quiet.push(gist(await askQuietly(drover, one)))
    await haveInstances(drover, ask.body, 2)
    const both = await instancesOf(drover, 'drover')
    for (const { pid } of both) process.kill(pid, 'SIGSTOP')
    const answers = asks.map((one) => askQuietly(drover, one))
    await until('two run and two wait', 2_000, async () => {
      const { waiting, instances } = await queue()
      return waiting === 2 && instances.filter(({ running }) => running > 0).length === 2
    })
    for (const { pid } of both) process.kill(pid, 'SIGKILL')
    expect((await Promise.all(answers)).map(gist)).toEqual(quiet)
  }, 90_000)
})

interface QueueStatus {
  waiting: number
  instances: { instance: number; model: string; state: string; running: number }[]
}

interface Vectors {
  embeddings: number[][]
  prompt_eval_count: number
}
