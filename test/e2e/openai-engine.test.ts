/** Drover over servers of OpenAI's API that really run: llama-server, another Drover by `/v1`, and the mock engine. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/models/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { getJson, ndjson, post, startDrover, type TestDrover, until } from '../support/drover.ts'
import { asked, specOf } from '../support/engine-contract/bench.ts'
import { answerOf, never } from '../support/llama-bench.ts'
import { type MockProcess, startMockEngine } from '../support/mock-engine.ts'
import { openAiEngine, type RunningLlama, startLlamaServer } from '../support/openai-servers.ts'
import { quietLog } from '../support/quiet-log.ts'

const tinyPath = join(import.meta.dirname, '../../assets/drover-tiny.gguf')
const user = (content: string) => [{ role: 'user', content }]
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const weather = { name: 'get_weather', description: 'Get the weather', parameters }
const tools = [{ type: 'function', function: weather }]
const capital = {
  type: 'object',
  properties: { country: { type: 'string' }, capital: { type: 'string' } },
  required: ['country', 'capital'],
}
const options = { temperature: 0, seed: 1 }

interface Chat {
  message: {
    content: string
    thinking?: string
    tool_calls?: { function: { name: string; arguments: object } }[]
  }
  logprobs?: { token: string; logprob: number; top_logprobs?: unknown[] }[]
  prompt_eval_count: number
  eval_count: number
}

interface Completion {
  choices: {
    message: {
      content: string
      reasoning?: string
      tool_calls?: { function: { name: string; arguments: string } }[]
    }
    logprobs?: { content: { token: string; top_logprobs: unknown[] }[] }
  }[]
  usage: { prompt_tokens: number; completion_tokens: number }
}

/** What every Drover answers, whatever is behind it. */
function describeDrover(served: () => TestDrover, { logprobs }: { logprobs: boolean }): void {
  const chat = async (more: object): Promise<Chat> => {
    const body = { model: 'drover', stream: false, options, ...more }
    const { status, text } = await post(`${served().url}/api/chat`, body)
    expect(text).not.toContain('"error"')
    expect(status).toBe(200)
    return JSON.parse(text) as Chat
  }
  const complete = async (more: object): Promise<Completion> => {
    const body = { model: 'drover', temperature: 0, seed: 1, ...more }
    const { status, text } = await post(`${served().url}/v1/chat/completions`, body)
    expect(status).toBe(200)
    return JSON.parse(text) as Completion
  }

  it('chats, and has thoughts told apart', async () => {
    const { message, prompt_eval_count, eval_count } = await chat({
      messages: user('What is the capital of France?'),
      think: true,
    })
    expect(message.content).toContain('Paris')
    expect(message.thinking ?? '').not.toBe('')
    expect(message.content + message.thinking).not.toMatch(/<\/?think>/)
    expect(prompt_eval_count).toBeGreaterThan(5)
    expect(eval_count).toBeGreaterThan(5)
    const silent = await chat({ messages: user('What is the capital of France?'), think: false })
    expect(silent.message.thinking).toBeUndefined()
    expect(silent.message.content).toContain('Paris')
  })

  it('streams by lines and by events', async () => {
    const body = { model: 'drover', messages: user('What is the capital of Spain?'), think: false, options }
    const lines = ndjson<{ message: { content: string }; done: boolean }>(
      (await post(`${served().url}/api/chat`, body)).text,
    )
    expect(lines.map(({ message }) => message.content).join('')).toContain('Madrid')
    expect(lines.length).toBeGreaterThan(2)
    expect(lines.at(-1)?.done).toBe(true)
    const { text } = await post(`${served().url}/v1/chat/completions`, {
      ...body,
      stream: true,
      temperature: 0,
    })
    expect(text).toContain('data: {')
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true)
  })

  it('calls tools in either dialect, and reads what they gave', async () => {
    const ask = { messages: user('What is the weather in Paris?'), tools, think: false }
    const [call] = (await chat(ask)).message.tool_calls ?? []
    expect(call).toMatchObject({ function: { name: 'get_weather', arguments: { city: 'Paris' } } })
    const [choice] = (await complete({ ...ask, reasoning_effort: 'none' })).choices
    expect(choice?.message.tool_calls?.[0]?.function.name).toBe('get_weather')
    expect(JSON.parse(choice?.message.tool_calls?.[0]?.function.arguments ?? '')).toEqual({ city: 'Paris' })
    const result = { role: 'tool', tool_name: 'get_weather', content: 'sunny, 21 degrees' }
    const messages = [...ask.messages, { role: 'assistant', content: '', tool_calls: [call] }, result]
    const { message } = await chat({ ...ask, messages })
    expect(message.content).not.toBe('')
  })

  it('answers in JSON of a schema', async () => {
    const messages = user('What is the capital of France? Answer in JSON.')
    const { message } = await chat({ messages, format: capital, think: false })
    expect(Object.keys(JSON.parse(message.content) as object)).toEqual(['country', 'capital'])
    const response_format = { type: 'json_schema', json_schema: { name: 'capital', schema: capital } }
    const [choice] = (await complete({ messages, response_format, reasoning_effort: 'none' })).choices
    expect(Object.keys(JSON.parse(choice?.message.content ?? '') as object)).toEqual(['country', 'capital'])
  })

  if (!logprobs) return
  it('tells log-probabilities in either dialect', async () => {
    const messages = user('What is the capital of France?')
    const told = await chat({ messages, think: false, logprobs: true, top_logprobs: 2 })
    expect(told.logprobs?.length).toBeGreaterThan(3)
    expect(told.logprobs?.every((one) => one.logprob <= 0 && one.top_logprobs?.length === 2)).toBe(true)
    const [choice] = (await complete({ messages, logprobs: true, top_logprobs: 2, reasoning_effort: 'none' }))
      .choices
    expect(choice?.logprobs?.content[0]?.top_logprobs).toHaveLength(2)
  })
}

describe('Drover over two llama-servers that chat and one that embeds', () => {
  let home: string
  let servers: RunningLlama[]
  let embedder: RunningLlama
  let drover: TestDrover
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'drover-openai-'))
    const vectors = join(home, 'vectors.gguf')
    await writeSyntheticGguf(vectors, { embeddingModel: true, seed: 5 })
    const modelsDir = join(home, 'models')
    await (await openStore({ root: modelsDir, log: quietLog })).importGguf('vectors', { path: vectors })
    const spec = specOf(tinyPath, { contextLength: 2048, slots: 2 })
    servers = await Promise.all([1, 2].map(() => startLlamaServer(spec)))
    embedder = await startLlamaServer(specOf(vectors, { embedding: true }))
    const urls = servers.map(({ url }) => `${url}/v1 model=drover`)
    const all = [`${embedder.url}/v1 model=vectors`, ...urls].join(',')
    drover = await startDrover({ modelsDir, env: { DROVER_ENGINE: 'openai', DROVER_OPENAI_URLS: all } })
  }, 60_000)
  afterAll(async () => {
    await drover?.stop()
    await Promise.all([embedder, ...(servers ?? [])].map((server) => server?.stop()))
    await rm(home, { recursive: true, force: true })
  })

  it('embeds in either dialect, by the server that is there for the model', async () => {
    const { text, status } = await post(`${drover.url}/api/embed`, {
      model: 'vectors',
      input: ['a sheep', 'grass'],
    })
    expect(status).toBe(200)
    const { embeddings } = JSON.parse(text) as { embeddings: number[][] }
    expect(embeddings.map((vector) => vector.length)).toEqual([128, 128])
    const body = { model: 'vectors', input: ['a sheep', 'grass'] }
    const { data } = JSON.parse((await post(`${drover.url}/v1/embeddings`, body)).text) as {
      data: { embedding: number[] }[]
    }
    expect(data[1]?.embedding[0]).toBeCloseTo(embeddings[1]?.[0] ?? 0, 5)
  })

  describeDrover(() => drover, { logprobs: true })

  it('shows the servers as its devices', async () => {
    const { models } = await getJson<{ models: { name: string }[] }>(`${drover.url}/api/ps`)
    expect(models.map(({ name }) => name)).toContain('drover:latest')
  })

  it('finishes an answer on the other server when the one that has it is killed', async () => {
    const ask = { model: 'drover', prompt: asked('Tell me a story.'), raw: true, stream: true }
    const more = { options: { ...options, num_predict: 120 } }
    const whole = (await post(`${drover.url}/api/generate`, { ...ask, ...more, stream: false })).text
    const expected = (JSON.parse(whole) as { response: string }).response
    const response = await fetch(`${drover.url}/api/generate`, {
      method: 'POST',
      body: JSON.stringify({ ...ask, ...more }),
    })
    let text = ''
    let killed = 0
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString('utf8')
      if (killed++ === 0) await strikeBusy(servers)
    }
    const lines = ndjson<{ response: string; done: boolean; error?: string }>(text)
    expect(lines.flatMap(({ error }) => error ?? [])).toEqual([])
    expect(lines.at(-1)?.done).toBe(true)
    expect(lines.map((line) => line.response).join('')).toBe(expected)
    expect(servers.filter(({ process: { signalCode } }) => signalCode === 'SIGKILL')).toHaveLength(1)
    // And it goes on with the one that is left.
    const again = await post(`${drover.url}/api/generate`, { ...ask, ...more, stream: false })
    expect(again.status).toBe(200)
  })
})

/** Kills the server that works. */
async function strikeBusy(servers: readonly RunningLlama[]): Promise<void> {
  const busy = await Promise.all(
    servers.map(async ({ url }) =>
      /requests_processing [1-9]/.test(await (await fetch(`${url}/metrics`)).text()),
    ),
  )
  const struck = servers[busy.indexOf(true)] ?? servers[0]
  struck?.process.kill('SIGKILL')
  await until('the server has ended', 5_000, () => struck?.process.signalCode === 'SIGKILL')
}

describe('Drover over another Drover by /v1', () => {
  let inner: TestDrover
  let outer: TestDrover
  beforeAll(async () => {
    inner = await startDrover({ env: { DROVER_ENGINE: 'embedded' } })
    const urls = `${inner.url}/v1 model=drover as=drover:latest`
    outer = await startDrover({ env: { DROVER_ENGINE: 'openai', DROVER_OPENAI_URLS: urls } })
  }, 60_000)
  afterAll(async () => {
    await outer?.stop()
    await inner?.stop()
  })

  describeDrover(() => outer, { logprobs: true })

  it('has conversations only: raw prompts are refused with what to do', async () => {
    const { status, text } = await post(`${outer.url}/api/generate`, {
      model: 'drover',
      prompt: 'x',
      raw: true,
    })
    expect(status).toBe(400)
    expect(text).toContain('takes conversations only: raw prompts need another engine')
    // A prompt that is put into the template is a conversation of one turn.
    const body = {
      model: 'drover',
      prompt: 'What is the capital of France?',
      think: false,
      stream: false,
      options,
    }
    const answer = JSON.parse((await post(`${outer.url}/api/generate`, body)).text) as { response: string }
    expect(answer.response).toContain('Paris')
  })
})

describe("the mock engine by OpenAI's dialect", () => {
  let mock: MockProcess
  beforeAll(async () => {
    mock = await startMockEngine('--speed', '50', '--answer-tokens', 'Infinity', '--context', '512')
  })
  afterEach(() => mock.clearFaults())
  afterAll(() => mock.stop())

  const launch = (more: object = {}) =>
    openAiEngine([{ url: mock.url, kind: 'plain', model: 'contract', servedAs: 'mock', ...more }]).launch(
      specOf(tinyPath, { slots: 2 }),
      never,
    )

  it('answers, ends at stop strings, and embeds', async () => {
    const instance = await launch()
    expect(instance).toMatchObject({ contextLength: 512, slots: 2, tokensAtEnd: true })
    const { text, done } = await answerOf(instance, { prompt: 'Once upon a time', maxTokens: 40 })
    expect(done).toMatchObject({ reason: 'length', usage: { outputTokens: 40 } })
    const stop = text.slice(10, 16)
    const stopped = await answerOf(instance, { prompt: 'Once upon a time', maxTokens: 40, stop: [stop] })
    expect(stopped.text).toBe(text.slice(0, text.indexOf(stop)))
    expect((await instance.embed(['a', 'b'], never)).embeddings.map((vector) => vector.length)).toEqual([
      768, 768,
    ])
    await instance.close()
  })

  it.each([
    ['error_503', 'busy'],
    ['error_429', 'busy'],
    ['error_500', 'engine_failed'],
    ['error_404', 'engine_unavailable'],
    ['refuse', 'engine_failed'],
    ['cut_after_tokens', 'engine_failed'],
    ['corrupt_chunk', 'engine_failed'],
    ['oom', 'insufficient_memory'],
  ])('that fails by %s says %s, and answers the next', async (fault, code) => {
    const instance = await launch()
    await mock.fault({ fault, count: 20 })
    await expect(answerOf(instance, { maxTokens: 100 })).rejects.toMatchObject({ code })
    await mock.clearFaults()
    expect(instance.load()).toEqual({ running: 0, waiting: 0 })
    expect((await answerOf(instance, { maxTokens: 5 })).done.usage.outputTokens).toBe(5)
    await instance.close()
  })

  it.each(['hang_before_headers', 'hang_after_tokens'])(
    'that hangs by %s is left when the request is aborted',
    async (fault) => {
      const instance = await launch()
      await mock.fault({ fault, count: 1 })
      const control = new AbortController()
      setTimeout(() => control.abort(new Error('not wanted')), 300)
      await expect(answerOf(instance, { maxTokens: 100 }, control.signal)).rejects.toThrow('not wanted')
      expect(instance.load()).toEqual({ running: 0, waiting: 0 })
      await instance.close()
    },
  )

  it('that crashes under an answer has ended', async () => {
    const crashing = await startMockEngine('--speed', '50', '--answer-tokens', 'Infinity')
    const instance = await launch({ url: crashing.url })
    await crashing.fault({ fault: 'crash', after: 3 })
    await expect(answerOf(instance, { maxTokens: 100 })).rejects.toMatchObject({ code: 'engine_crashed' })
    expect(await instance.exited).toMatchObject({ kind: 'crashed' })
    await instance.close()
    expect(await crashing.exited).toBe(134)
  })
})

it('a model runs on the next engine of the chain where the first one does not answer', async () => {
  const drover = await startDrover({
    env: {
      DROVER_OPENAI_URLS: 'http://127.0.0.1:9/v1 model=drover',
      OLLAMA_BACKEND: 'openai',
      OLLAMA_FALLBACK_BACKEND: 'embedded',
    },
  })
  const body = {
    model: 'drover',
    prompt: 'What is the capital of France?',
    think: false,
    stream: false,
    options,
  }
  const { status, text } = await post(`${drover.url}/api/generate`, body)
  expect(status).toBe(200)
  expect((JSON.parse(text) as { response: string }).response).toContain('Paris')
  expect(drover.output()).toMatch(/drover:latest runs on embedded\. openai: .*ECONNREFUSED/)
  await drover.stop()
})
