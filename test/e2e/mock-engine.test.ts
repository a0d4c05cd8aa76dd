import { request } from 'node:http'
import { Ollama } from 'ollama'
import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createClient } from '../../src/engines/llamacpp/client.ts'
import { completionBody, toDone } from '../../src/engines/llamacpp/completion.ts'
import { ndjson, post, runDrover, startDrover } from '../support/drover.ts'
import { type MockProcess, startMockEngine } from '../support/mock-engine.ts'

let mock: MockProcess
beforeAll(async () => {
  mock = await startMockEngine('--model', 'mock', 'drover', '--decode-ms', '5')
})
afterAll(() => mock.stop())

const prompt = 'Tell me about rivers.'
const generate = (more: object = {}, signal?: AbortSignal) =>
  mock.post('/api/generate', { model: 'mock', prompt, ...more }, signal)
const ignoringEos = { prompt, stream: true, n_predict: 1_000, ignore_eos: true }

describe('the clients that people use', () => {
  it("are answered: Ollama's", async () => {
    const ollama = new Ollama({ host: mock.url })
    const options = { num_predict: 8, seed: 3 }
    let text = ''
    let evalCount = 0
    for await (const part of await ollama.generate({ model: 'mock', prompt, stream: true, options })) {
      text += part.response
      if (part.done) evalCount = part.eval_count
    }
    const whole = await ollama.generate({ model: 'mock', prompt, options })
    expect(whole.response).toBe(text)
    expect(evalCount).toBe(whole.eval_count)
    const chat = await ollama.chat({ model: 'mock', messages: [{ role: 'user', content: prompt }], options })
    expect(chat.message.content).toBe(text)
    const { embeddings } = await ollama.embed({ model: 'mock', input: ['a', 'b'] })
    expect(embeddings.map(({ length }) => length)).toEqual([768, 768])
    expect((await ollama.list()).models.map(({ name }) => name)).toEqual(['mock:latest', 'drover:latest'])
    expect((await ollama.ps()).models.map(({ name }) => name)).toEqual(['mock:latest'])
    expect((await ollama.show({ model: 'mock' })).capabilities).toContain('completion')
    await expect(ollama.generate({ model: 'nobody', prompt })).rejects.toThrow("model 'nobody' not found")
  })

  it("are answered: OpenAI's", async () => {
    const openai = new OpenAI({ baseURL: `${mock.url}/v1`, apiKey: 'none', maxRetries: 0 })
    const ask = {
      model: 'mock',
      messages: [{ role: 'user' as const, content: prompt }],
      max_tokens: 8,
      seed: 3,
    }
    let text = ''
    let completionTokens = 0
    const stream = await openai.chat.completions.create({
      ...ask,
      stream: true,
      stream_options: { include_usage: true },
    })
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      completionTokens += chunk.usage?.completion_tokens ?? 0
    }
    const whole = await openai.chat.completions.create(ask)
    expect(whole.choices[0]?.message.content).toBe(text)
    expect(completionTokens).toBe(whole.usage?.completion_tokens)
    const completed = await openai.completions.create({ model: 'mock', prompt, max_tokens: 4 })
    expect(completed.choices[0]?.text).not.toBe('')
    const { data } = await openai.embeddings.create({ model: 'mock', input: 'a', dimensions: 16 })
    expect(data[0]?.embedding).toHaveLength(16)
    expect((await openai.models.list()).data.map(({ id }) => id)).toEqual(['mock', 'drover'])
    await mock.fault({ fault: 'error_429', count: 1, retryAfterSeconds: 2 })
    await expect(openai.chat.completions.create(ask)).rejects.toBeInstanceOf(OpenAI.RateLimitError)
  })

  it("are answered: Drover's own of llama-server", async () => {
    const client = createClient({ port: Number(new URL(mock.url).port) }, 'key', 2)
    const sampling = {
      num_keep: 4,
      seed: 3,
      temperature: 0,
      top_k: 40,
      top_p: 0.9,
      min_p: 0,
      typical_p: 1,
      repeat_last_n: 64,
      repeat_penalty: 1,
      presence_penalty: 0,
      frequency_penalty: 0,
    }
    const wanted = { prompt, sampling, maxTokens: 30, stop: [] }
    const model = { contextLength: 8192, addedBos: undefined, mediaMarker: '<__media__>' }
    const stream = client.stream('/completion', completionBody(wanted, model))
    const tokens: number[] = []
    let last = {}
    for (let events = await stream.next(); events; events = await stream.next()) {
      for (const event of events) {
        if (event['stop'] === true) last = event
        else tokens.push(...(event['tokens'] as number[]))
      }
    }
    const done = toDone(last)
    expect(done.usage.outputTokens).toBe(tokens.length)
    const text = (await client.json('POST', '/detokenize', { tokens })) as { content: string }
    const whole = (await client.json('POST', '/completion', { prompt, seed: 3, n_predict: 30 })) as {
      content: string
    }
    expect(text.content).toBe(whole.content)
    await client.ping(AbortSignal.timeout(1_000))
    await client.close()
  })

  it('who leave free their slot at once', async () => {
    const before = await mock.stats()
    const gone = new AbortController()
    const response = await mock.post('/completion', ignoringEos, gone.signal)
    expect((await mock.stats()).running).toBe(1)
    gone.abort()
    await expect(response.text()).rejects.toThrow(/abort/)
    await expect
      .poll(() => mock.stats(), { timeout: 1_000, interval: 10 })
      .toMatchObject({
        running: 0,
        abortedClients: before.abortedClients + 1,
      })
  })
})

describe('a Drover over mock engines', () => {
  it('takes them for Ollamas and passes their words on', async () => {
    const drover = await startDrover({ env: { DROVER_ENGINE: 'ollama', DROVER_OLLAMA_URLS: mock.url } })
    const ask = { model: 'drover', prompt, raw: true, stream: false, options: { num_predict: 12, seed: 3 } }
    const through = JSON.parse((await post(`${drover.url}/api/generate`, ask)).text)
    const direct = JSON.parse((await post(`${mock.url}/api/generate`, ask)).text)
    expect(through.response).toBe(direct.response)
    expect(await drover.stop()).toBe(0)
  })
})

describe('a fault that is switched on', () => {
  afterEach(() => mock.clearFaults())
  const works = async () =>
    expect((await generate({ stream: false, options: { num_predict: 2 } })).status).toBe(200)
  const statusOf = async (path: string, body: object) => {
    const response = await mock.post(path, body)
    return {
      status: response.status,
      retryAfter: response.headers.get('retry-after'),
      body: await response.json(),
    }
  }

  it('error_503: every dialect is refused in its own words, for as often as told', async () => {
    await mock.fault({ fault: 'error_503', count: 3 })
    const message = 'server busy, please try again'
    expect(await statusOf('/api/generate', { prompt })).toMatchObject({
      status: 503,
      body: { error: message },
    })
    expect(await statusOf('/completion', { prompt })).toMatchObject({
      status: 503,
      body: { error: { code: 503, message, type: 'unavailable_error' } },
    })
    expect(await statusOf('/v1/completions', { prompt })).toMatchObject({
      status: 503,
      body: { error: { message, param: null } },
    })
    await works()
  })

  it('error_500: each second request fails', async () => {
    await mock.fault({ fault: 'error_500', share: 0.5 })
    const statuses = []
    for (let count = 0; count < 6; count++) {
      statuses.push((await statusOf('/completion', { prompt, n_predict: 1 })).status)
    }
    expect(statuses).toEqual([200, 500, 200, 500, 200, 500])
  })

  it('error_429: says when to come again', async () => {
    await mock.fault({ fault: 'error_429', retryAfterSeconds: 7 })
    expect(await statusOf('/v1/completions', { prompt })).toMatchObject({ status: 429, retryAfter: '7' })
  })

  it('error_404: the model has gone', async () => {
    await mock.fault({ fault: 'error_404', count: 1 })
    expect(await statusOf('/api/generate', { prompt })).toMatchObject({
      status: 404,
      body: { error: 'model not found, try pulling it first' },
    })
    await works()
  })

  it('refuse: the connection is closed without an answer', async () => {
    await mock.fault({ fault: 'refuse', count: 1 })
    await expect(generate()).rejects.toMatchObject({ cause: { code: 'UND_ERR_SOCKET' } })
    await works()
  })

  it('hang_before_headers: nothing comes until the client leaves', async () => {
    await mock.fault({ fault: 'hang_before_headers' })
    const { abortedClients } = await mock.stats()
    await expect(generate({}, AbortSignal.timeout(300))).rejects.toThrow(/timeout/)
    await expect.poll(async () => (await mock.stats()).abortedClients).toBe(abortedClients + 1)
  })

  it('late_headers: the answer comes whole, and late', async () => {
    await mock.fault({ fault: 'late_headers', delayMs: 500 })
    const beganMs = performance.now()
    const response = await generate({ options: { num_predict: 3 } })
    expect(performance.now() - beganMs).toBeGreaterThan(490)
    expect(ndjson(await response.text()).at(-1)).toMatchObject({ done: true, eval_count: 3 })
  })

  it('hang_after_tokens: so many tokens, then silence', async () => {
    await mock.fault({ fault: 'hang_after_tokens', after: 5 })
    const { tokens, error } = await readTokens(mock, AbortSignal.timeout(1_000))
    expect([tokens, error]).toEqual([5, 'ABORT_ERR'])
  })

  it('cut_after_tokens: so many tokens, then a reset', async () => {
    await mock.fault({ fault: 'cut_after_tokens', after: 5 })
    expect(await readTokens(mock)).toEqual({ tokens: 5, error: 'ECONNRESET' })
    // An answer that is shorter is cut too, before its end.
    const short = generate({ options: { num_predict: 2 } })
    await expect(short.then((response) => response.text())).rejects.toThrow(/terminated|fetch failed/)
    await expect(generate({ stream: false })).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } })
  })

  it('corrupt_chunk: a line that no parser takes, then the rest', async () => {
    await mock.fault({ fault: 'corrupt_chunk', after: 2 })
    const lines = (await (await generate({ options: { num_predict: 5 } })).text()).trim().split('\n')
    const broken = lines.filter((line) => !isJson(line))
    expect(broken).toHaveLength(1)
    expect(lines.indexOf(broken[0] ?? '')).toBe(2)
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ done: true, eval_count: 5 })
    expect(isJson(await (await generate({ stream: false })).text())).toBe(false)
  })

  it('slow: everything takes so many times longer, until it is over', async () => {
    const timed = async () => {
      const beganMs = performance.now()
      await (await mock.post('/completion', { prompt, n_predict: 10, ignore_eos: true })).text()
      return performance.now() - beganMs
    }
    await mock.fault({ fault: 'slow', factor: 10, seconds: 30 })
    expect(await timed()).toBeGreaterThan(500)
    await mock.clearFaults()
    expect(await timed()).toBeLessThan(400)
  })

  it('fail_health: it says that it is ill, and answers', async () => {
    await mock.fault({ fault: 'fail_health' })
    const looks = ['/health', '/api/version', '/v1/health'].map(
      async (path) => (await fetch(mock.url + path)).status,
    )
    expect(await Promise.all(looks)).toEqual([503, 503, 503])
    await works()
  })

  it('drop_health: it says nothing of its health, and answers', async () => {
    await mock.fault({ fault: 'drop_health' })
    await expect(fetch(`${mock.url}/api/version`)).rejects.toMatchObject({
      cause: { code: 'UND_ERR_SOCKET' },
    })
    await works()
  })

  it('oom: the device is out of memory, before the answer or within it', async () => {
    await mock.fault({ fault: 'oom', after: 0 })
    const memory = expect.stringContaining('out of memory')
    expect(await statusOf('/api/generate', { prompt })).toMatchObject({
      status: 500,
      body: { error: memory },
    })
    await mock.fault({ fault: 'oom', after: 3 })
    const lines = ndjson(await (await generate()).text())
    expect(lines).toHaveLength(4)
    expect(lines.at(-1)).toEqual({ error: memory })
  })

  it('wrong_model: another name, and other words', async () => {
    const ask = { stream: false, options: { num_predict: 8 } }
    const right = (await (await generate(ask)).json()) as { response: string }
    await mock.fault({ fault: 'wrong_model', model: 'impostor' })
    const wrong = (await (await generate(ask)).json()) as { model: string; response: string }
    expect(wrong.model).toBe('impostor')
    expect(wrong.response).not.toBe(right.response)
  })

  it('crash: the process is gone in the middle of an answer', async () => {
    const fragile = await startMockEngine()
    await fragile.fault({ fault: 'crash', after: 5 })
    expect(await readTokens(fragile)).toEqual({ tokens: 5, error: 'ECONNRESET' })
    expect(await fragile.exited).toBe(134)
    await expect(fragile.stats()).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
  })

  it('can be read and cleared, and is refused when it makes no sense', async () => {
    await mock.fault({ fault: 'error_500', share: 0.25 })
    await mock.fault({ fault: 'slow', factor: 2, seconds: 60 })
    const { faults } = (await (await fetch(`${mock.url}/mock/faults`)).json()) as { faults: object[] }
    expect(faults).toMatchObject([
      { fault: 'error_500', share: 0.25, hits: 0 },
      { fault: 'slow', factor: 2, remainingSeconds: expect.closeTo(60, 0) },
    ])
    await fetch(`${mock.url}/mock/faults/slow`, { method: 'DELETE' })
    const left = await (await fetch(`${mock.url}/mock/faults`)).json()
    expect(left).toMatchObject({ faults: [{ fault: 'error_500' }] })
    await expect(mock.fault({ fault: 'explode' })).rejects.toThrow(/fault: /)
    expect((await fetch(`${mock.url}/mock/faults/explode`, { method: 'DELETE' })).status).toBe(404)
  })
})

describe('drover mock-engine', () => {
  it('takes its times from a card, and flags before them', async () => {
    const card = ['--device', 'RTX 4090', '--params', '8e9', '--load-ms', '0']
    const [quick, slow] = await Promise.all([
      startMockEngine(...card),
      startMockEngine(...card, '--decode-ms', '60', '--slots', '2'),
    ])
    const timed = async (engine: MockProcess) => {
      const answer = await engine.post('/completion', { prompt, n_predict: 30, ignore_eos: true })
      const { timings } = (await answer.json()) as { timings: { predicted_per_token_ms: number } }
      return timings.predicted_per_token_ms
    }
    const [quickMs, slowMs] = await Promise.all([timed(quick), timed(slow)])
    expect(quickMs).toBeLessThan(20)
    expect(slowMs).toBeGreaterThan(50)
    const props = (await (await fetch(`${slow.url}/props`)).json()) as { total_slots: number }
    expect(props.total_slots).toBe(2)
    expect(await Promise.all([quick.stop(), slow.stop()])).toEqual([0, 0])
  })

  it.each([
    [['--params', '8e9'], '--params means nothing without --device'],
    [['--device', 'RTX 4090'], '--device needs --params'],
    [['--device', 'Abacus', '--params', '8e9'], 'it is not in the table of cards'],
    [['--slots', 'many'], '"many" is no number'],
    [['--slots', '0'], 'slots: 0 will not do'],
    [['--kv-tokens', '100', '--context', '500'], 'holds no context of 500'],
  ])('refuses what cannot be: %j', async (args, reason) => {
    const { code, stderr } = await runDrover(['mock-engine', '--port', '0', ...args])
    expect(code).toBe(1)
    expect(stderr).toContain(reason)
  })
})

/** Tokens of a streamed completion, and how it ended. Unlike fetch it gives up nothing that came before the break. */
function readTokens(engine: MockProcess, signal?: AbortSignal): Promise<{ tokens: number; error: string }> {
  return new Promise((resolve) => {
    let text = ''
    const end = (error: string) => {
      const events = text.split('\n').filter((line) => line.startsWith('data: '))
      const tokens = events.flatMap((line) => (JSON.parse(line.slice(6)) as { tokens: number[] }).tokens)
      resolve({ tokens: tokens.length, error })
    }
    const onError = ({ code = '', name }: NodeJS.ErrnoException) => end(code || name)
    const asked = request(`${engine.url}/completion`, { method: 'POST', ...(signal && { signal }) })
    asked.on('error', onError).on('response', (response) => {
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('error', onError).on('end', () => end(''))
    })
    asked.end(JSON.stringify(ignoringEos))
  })
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
