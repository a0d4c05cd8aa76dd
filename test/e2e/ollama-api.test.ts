import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { getJson, ndjson, post, startDrover, type TestDrover } from '../support/drover.ts'
import { bothEngines, engineEnv } from '../support/engines.ts'

interface Answer {
  model: string
  response?: string
  thinking?: string
  message?: { role: string; content: string; thinking?: string; tool_calls?: ToolCallBody[] }
  done: boolean
  done_reason?: string
  context?: number[]
  logprobs?: { token: string; logprob: number; bytes: number[]; top_logprobs?: unknown[] }[]
  total_duration?: number
  load_duration?: number
  prompt_eval_count?: number
  eval_count?: number
  eval_duration?: number
  error?: string
}

interface Listing {
  models: { name: string; digest: string; size: number; expires_at: string }[]
}

interface ToolCallBody {
  id: string
  function: { index: number; name: string; arguments: Record<string, unknown> }
}

const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Get the current weather of a city',
    parameters: {
      type: 'object',
      required: ['city'],
      properties: { city: { type: 'string', description: 'The name of the city' } },
    },
  },
}

describe.each(bothEngines)('the Ollama API on the %s engine', (engine) => {
  let drover: TestDrover
  beforeAll(async () => {
    drover = await startDrover({ env: await engineEnv(engine) })
  })
  afterAll(async () => {
    expect(await drover.stop()).toBe(0)
  })

  const api = (path: string, body: unknown) => post(`${drover.url}${path}`, body)
  const one = async (path: string, body: object) => {
    const { status, text } = await api(path, { stream: false, ...body })
    expect({ status, text }).toMatchObject({ status: 200 })
    return JSON.parse(text) as Answer
  }
  const lines = async (path: string, body: object) => ndjson<Answer>((await api(path, body)).text)
  const ask = (content: string, more: object = {}) =>
    one('/api/chat', { model: 'drover', messages: [{ role: 'user', content }], think: false, ...more })

  it('answers a chat with the truth', async () => {
    const answer = await ask('What is the capital of France?')
    expect(answer.message?.content).toContain('Paris')
    expect(answer).toMatchObject({ model: 'drover', done: true, done_reason: 'stop' })
    expect(answer.total_duration).toBeGreaterThan(0)
    expect(answer.eval_count).toBeGreaterThan(0)
    expect(answer.prompt_eval_count).toBeGreaterThan(0)
  })

  it('streams the same text that it gives at once', async () => {
    const body = {
      model: 'drover',
      messages: [{ role: 'user', content: 'What is the capital of Italy?' }],
      think: false,
    }
    const stream = await lines('/api/chat', body)
    const whole = await one('/api/chat', body)
    expect(stream.map((line) => line.message?.content).join('')).toBe(whole.message?.content)
    expect(stream.slice(0, -1).every((line) => !line.done)).toBe(true)
    expect(stream.at(-1)).toMatchObject({ done: true, done_reason: 'stop' })
  })

  it('thinks unless told not to, apart from the answer', async () => {
    const messages = [{ role: 'user', content: 'What is the capital of Spain?' }]
    const thought = await one('/api/chat', { model: 'drover', messages })
    expect(thought.message?.thinking).not.toBe('')
    expect(thought.message?.thinking).toBeDefined()
    expect(thought.message?.content).toContain('Madrid')
    expect(thought.message?.content).not.toContain('think>')
    const direct = await one('/api/chat', { model: 'drover', messages, think: false })
    expect(direct.message?.thinking).toBeUndefined()
    expect(direct.message?.content).not.toContain('think>')
  })

  it('calls a tool that fits', async () => {
    const answer = await ask('What is the weather in Paris?', { tools: [weather] })
    expect(answer.message?.tool_calls).toHaveLength(1)
    const [call] = answer.message?.tool_calls ?? []
    expect(call?.id).toMatch(/^call_[a-z0-9]{8}$/)
    expect(call?.function).toEqual({ index: 0, name: 'get_weather', arguments: { city: 'Paris' } })
    expect(answer.done_reason).toBe('stop')
  })

  it('answers in JSON, of any shape or of a schema', async () => {
    const free = await ask('What is the capital of Japan? Answer in JSON.', { format: 'json' })
    expect(JSON.parse(free.message?.content ?? '')).toBeTypeOf('object')
    const schema = {
      type: 'object',
      properties: { city: { type: 'string' }, population: { type: 'integer' } },
      required: ['city', 'population'],
    }
    const bound = await ask('What is the capital of Japan?', {
      format: schema,
      options: { num_predict: 200 },
    })
    const parsed = JSON.parse(bound.message?.content ?? '')
    expect(parsed.city).toBeTypeOf('string')
    expect(Number.isInteger(parsed.population)).toBe(true)
  })

  it('thinks first and then keeps to the format', async () => {
    const messages = [{ role: 'user', content: 'What is the capital of Japan? Answer in JSON.' }]
    const answer = await one('/api/chat', { model: 'drover', messages, format: 'json' })
    expect(answer.message?.thinking?.length).toBeGreaterThan(0)
    expect(JSON.parse(answer.message?.content ?? '')).toBeTypeOf('object')
  })

  it('gives log-probabilities, as many tokens as it was allowed', async () => {
    const answer = await one('/api/generate', {
      model: 'drover',
      prompt: 'Count from 1 to 30.',
      think: false,
      logprobs: true,
      top_logprobs: 3,
      options: { num_predict: 10 },
    })
    expect(answer.done_reason).toBe('length')
    expect(answer.eval_count).toBe(10)
    expect(answer.logprobs).toHaveLength(10)
    for (const entry of answer.logprobs ?? []) {
      expect(entry.logprob).toBeLessThanOrEqual(0)
      expect(entry.top_logprobs).toHaveLength(3)
      expect(Buffer.from(entry.bytes).toString()).toBe(entry.token)
    }
  })

  it('generates, and goes on from the context it gave', async () => {
    const first = await one('/api/generate', {
      model: 'drover',
      prompt: 'What is the capital of France?',
      think: false,
    })
    expect(first.response).toContain('Paris')
    expect(first.context?.length).toBeGreaterThan(5)
    const second = await one('/api/generate', {
      model: 'drover',
      prompt: 'What is the capital of Italy?',
      context: first.context,
      think: false,
    })
    expect(second.response).toContain('Rome')
    expect(second.prompt_eval_count).toBeGreaterThan(first.context?.length ?? 0)
  })

  it('completes a raw prompt as it is, without context', async () => {
    const prompt =
      '<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n'
    const answer = await one('/api/generate', { model: 'drover', prompt, raw: true })
    expect(answer.response).toContain('Paris')
    expect(answer.context).toBeUndefined()
  })

  it('fills in the middle', async () => {
    const answer = await one('/api/generate', {
      model: 'drover',
      prompt: 'def add(a, b):\n    return ',
      suffix: '\n',
    })
    expect(answer.response).toContain('a + b')
  })

  it('uses the template and the system of the request', async () => {
    const { text } = await api('/api/generate', {
      model: 'drover',
      prompt: 'Hi',
      system: 'Be brief.',
      template: '[{{ .System }}] {{ .Prompt }}!',
      think: false,
      _debug_render_only: true,
    })
    expect(JSON.parse(text)._debug_info).toEqual({ rendered_template: '[Be brief.] Hi!' })
  })

  it('stops before a stop string', async () => {
    const answer = await ask('Count from 1 to 30.', { options: { stop: ['7'] } })
    expect(answer.message?.content).toContain('6')
    expect(answer.message?.content).not.toContain('7')
    expect(answer.done_reason).toBe('stop')
  })

  it('repeats itself with a seed', async () => {
    const options = { seed: 7, temperature: 1.5, num_predict: 30 }
    const [a, b] = [await ask('Tell me a story.', { options }), await ask('Tell me a story.', { options })]
    expect(a.message?.content).toBe(b.message?.content)
  })

  it('refuses images by name where the model has no vision', async () => {
    const { status, text } = await api('/api/chat', {
      model: 'drover',
      messages: [{ role: 'user', content: 'What is this?', images: ['aGVsbG8='] }],
    })
    expect(status).toBe(400)
    expect(JSON.parse(text).error).toContain('drover:latest does not support vision')
  })

  it('names what a model, an option or a body lacks', async () => {
    const cases: [string, unknown, number, string][] = [
      ['/api/generate', { model: 'nope' }, 404, "model 'nope' not found"],
      ['/api/chat', { model: 'nope', messages: [] }, 404, "model 'nope' not found"],
      ['/api/chat', {}, 400, 'model is required'],
      ['/api/generate', {}, 404, "model '' not found"],
      ['/api/embed', { model: 'nope', input: 'x' }, 404, 'model "nope" not found, try pulling it first'],
      ['/api/show', { model: 'nope' }, 404, "model 'nope:latest' not found"],
      ['/api/generate', '', 400, 'missing request body'],
      ['/api/generate', '{"model":', 400, 'unexpected EOF'],
      [
        '/api/generate',
        { model: 'drover', prompt: 'x', options: { num_ctx: 'big' } },
        500,
        'option "num_ctx" must be of type integer',
      ],
      [
        '/api/embed',
        { model: 'drover', input: 'x' },
        501,
        'This server does not support embeddings. Start it with `--embeddings`',
      ],
    ]
    for (const [path, body, status, error] of cases) {
      const answer = await api(path, body)
      expect({ path, status: answer.status, error: JSON.parse(answer.text).error }).toEqual({
        path,
        status,
        error,
      })
    }
  })

  it('lists, shows and reports what is loaded', async () => {
    const tags = await getJson<Listing>(`${drover.url}/api/tags`)
    expect(tags.models[0]).toMatchObject({
      name: 'drover:latest',
      model: 'drover:latest',
      details: { format: 'gguf', family: 'llama' },
    })
    expect(tags.models[0]?.digest).toMatch(/^[0-9a-f]{64}$/)
    const show = JSON.parse((await api('/api/show', { model: 'drover' })).text)
    expect(show.capabilities).toEqual(expect.arrayContaining(['completion', 'tools', 'insert', 'thinking']))
    expect(show.model_info['general.architecture']).toBe('llama')
    await one('/api/generate', { model: 'drover' })
    const ps = await getJson<Listing>(`${drover.url}/api/ps`)
    expect(ps.models[0]).toMatchObject({ name: 'drover:latest', context_length: expect.any(Number) })
    expect(ps.models[0]?.size).toBeGreaterThan(1_000_000)
    expect(Date.parse(ps.models[0]?.expires_at ?? '')).toBeGreaterThan(Date.now() + 4 * 60_000)
  })

  it('loads and unloads on request, each in one object', async () => {
    const load = await lines('/api/chat', { model: 'drover', messages: [], keep_alive: '10m' })
    expect(load).toMatchObject([
      { done: true, done_reason: 'load', message: { role: 'assistant', content: '' } },
    ])
    const unload = await lines('/api/generate', { model: 'drover', keep_alive: 0 })
    expect(unload).toMatchObject([{ done: true, done_reason: 'unload', response: '' }])
    await expect
      .poll(async () => (await getJson<Listing>(`${drover.url}/api/ps`)).models, { timeout: 5000 })
      .toEqual([])
  })

  it('drops the oldest turns of a conversation that is too long', async () => {
    const filler = Array.from({ length: 60 }, (_, i) => [
      {
        role: 'user',
        content: `Message number ${i}: the quick brown fox jumps over the lazy dog, again and again.`,
      },
      { role: 'assistant', content: 'I see.' },
    ]).flat()
    const messages = [...filler, { role: 'user', content: 'What is the capital of France?' }]
    const answer = await one('/api/chat', {
      model: 'drover',
      messages,
      think: false,
      options: { num_ctx: 512, num_predict: 30 },
    })
    expect(answer.done).toBe(true)
    expect(answer.prompt_eval_count).toBeLessThan(2048)
  })
})
