import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/models/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { gistOf } from '../support/answer-gist.ts'
import { type Ask, askAndKill, askQuietly, haveInstances, instancesOf } from '../support/cut-answers.ts'
import { getJson, isAlive, post, startDrover, type TestDrover, until } from '../support/drover.ts'
import { bothEngines, engineEnv } from '../support/engines.ts'
import { quietLog } from '../support/quiet-log.ts'

/** How often each answer is cut at each of its points; more in a long run (`DROVER_TEST_ROUNDS`). */
const rounds = Number(process.env['DROVER_TEST_ROUNDS'] ?? 1)
/** One request at a time: how llama.cpp rounds may depend on what is computed together. */
const twoDevices = { DROVER_DEVICES: 'cpu:0,cpu:1', OLLAMA_NUM_PARALLEL: '1' }

let home: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'drover-resume-'))
  const store = await openStore({ root: home, log: quietLog })
  const add = async (name: string, shape: Parameters<typeof writeSyntheticGguf>[1]) => {
    const path = join(home, `${name}.gguf`)
    await writeSyntheticGguf(path, {
      architecture: 'llama',
      layers: 2,
      dim: 64,
      heads: 2,
      context: 8192,
      ...shape,
    })
    await store.importGguf(name, { path })
    await rm(path)
  }
  await add('endless', { endless: true })
  // A token takes it a millisecond or two: an answer can be met on its way.
  await add('slow', { endless: true, layers: 6, dim: 512, heads: 8, type: 'F32' })
  await add('vectors', { embeddingModel: true, layers: 4, dim: 256, heads: 4, type: 'F16' })
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
const free = { model: 'endless', prompt: 'the sheep', raw: true, options: { ...options, num_predict: 60 } }

interface Case {
  name: string
  path: string
  body: Ask['body']
  /** The answer is cut at these points, each list a run of its own. */
  cuts: readonly (readonly number[])[]
}

const cases: Case[] = [
  { name: 'raw text', path: '/api/generate', body: free, cuts: [[0], [1, 30]] },
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
      for (const points of Array.from({ length: rounds }, () => cuts).flat()) {
        const cut = await askAndKill(drover, ask, points)
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
      const cut = await askAndKill(drover, ask, points)
      expect(gistOf(ask.path, true, cut.text), `cut at ${points}`).toEqual(expected)
    }
  }, 120_000)

  it('is many vectors', async () => {
    const input = Array.from({ length: 140 }, (_, index) => `sheep number ${index} `.repeat(6))
    const ask = { path: '/api/embed', body: { model: 'vectors', input, stream: false } }
    const quiet = JSON.parse((await askQuietly(drover, ask)).text) as Vectors
    const cut = await askAndKill(drover, ask, [4])
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
    const env = { ...(await engineEnv(engine)), ...twoDevices, DROVER_HANG_TIMEOUT: '2s' }
    drover = await startDrover({ modelsDir: home, env: { ...env, DROVER_HAND_OVER_AFTER: '0s' } })
  })
  afterAll(() => drover.stop())

  // Random weights make broken characters, whose tokens llama-server does not tell; in a string there are none.
  const format = { type: 'string', minLength: 2000 }
  const long = (prompt: string): Ask => ({
    path: '/api/generate',
    body: { model: 'slow', prompt, raw: true, format, options: { ...options, num_predict: 250 } },
  })
  const gist = ({ text }: { text: string }) => gistOf('/api/generate', true, text)
  const have = (count: number) => haveInstances(drover, { model: 'slow' }, count)
  const busy = async () =>
    (await getJson<QueueStatus>(`${drover.url}/api/queue`)).instances.filter(
      ({ model, running }) => model === 'slow:latest' && running > 0,
    )

  /** Asks, and does something once the answer is on its way. */
  async function askAnd(ask: Ask, act: () => Promise<void>) {
    const answer = askQuietly(drover, ask)
    await until('it is being answered', 10_000, async () => (await busy()).length > 0)
    await new Promise((resolve) => setTimeout(resolve, 100))
    await act()
    return answer
  }

  it('goes on elsewhere when that is drained, and the instance is gone', async () => {
    await have(2)
    const quiet = await askQuietly(drover, long('the goat'))
    const moved = await askAnd(long('the goat'), async () => {
      const [{ instance } = { instance: 0 }] = await busy()
      expect((await post(`${drover.url}/api/drain`, { instance, grace: '0s' })).status).toBe(200)
      await until('it is gone', 20_000, async () => {
        const { instances } = await getJson<QueueStatus>(`${drover.url}/api/queue`)
        return !instances.some((one) => one.instance === instance)
      })
    })
    expect(gist(moved)).toEqual(gist(quiet))
    expect(moved.moves).toBe(1)
  }, 90_000)

  it('goes on through a rolling restart of all instances', async () => {
    await have(2)
    const before = (await instancesOf(drover, 'slow')).map(({ pid }) => pid)
    const quiet = await askQuietly(drover, long('the cow'))
    const moved = await askAnd(long('the cow'), async () => {
      const { text } = await post(`${drover.url}/api/restart`, { model: 'slow' })
      expect(JSON.parse(text)).toMatchObject({ instances: 2 })
    })
    expect(gist(moved)).toEqual(gist(quiet))
    expect(moved.moves).toBeGreaterThan(0)
    await until('the old ones are gone', 60_000, () => !before.some(isAlive))
    await have(2)
  }, 120_000)

  it('goes on elsewhere when its engine hangs', async () => {
    await have(2)
    const quiet = await askQuietly(drover, long('the horse'))
    const moved = await askAnd(long('the horse'), async () => {
      const answering = (await instancesOf(drover, 'slow')).find(({ running }) => running > 0)
      process.kill(answering?.pid ?? 0, 'SIGSTOP')
    })
    expect(gist(moved)).toEqual(gist(quiet))
    expect(moved.moves).toBe(1)
  }, 90_000)

  it('is not given up while it waits for an instance that dies', async () => {
    await have(2)
    const prompts = ['one', 'two', 'three', 'four']
    const quiet: object[] = []
    for (const prompt of prompts) quiet.push(gist(await askQuietly(drover, long(prompt))))
    const answers = prompts.map((prompt) => askQuietly(drover, long(prompt)))
    await until('two run and two wait', 10_000, async () => {
      const { waiting } = await getJson<QueueStatus>(`${drover.url}/api/queue`)
      return waiting === 2 && (await busy()).length === 2
    })
    for (const { pid } of await instancesOf(drover, 'slow')) process.kill(pid, 'SIGKILL')
    expect((await Promise.all(answers)).map(gist)).toEqual(quiet)
  }, 90_000)
})

interface QueueStatus {
  waiting: number
  instances: { instance: number; model: string; running: number }[]
}

interface Vectors {
  embeddings: number[][]
  prompt_eval_count: number
}
