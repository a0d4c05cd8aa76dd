import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startMock, type TestMock } from '../testing.ts'

interface Line {
  model: string
  response?: string
  message?: { role: string; content: string }
  done: boolean
  done_reason?: string
  context?: number[]
  load_duration?: number
  eval_count?: number
}

let mock: TestMock
beforeAll(async () => {
  mock = await startMock({ models: ['mock', 'second:7b'] })
})
afterAll(() => mock.close())

const textOf = (lines: readonly Line[]) =>
  lines.map(({ response, message }) => response ?? message?.content).join('')
const loaded = async () =>
  (await mock.json<{ models: { name: string }[] }>('/api/ps')).models.map(({ name }) => name)

describe("Ollama's dialect", () => {
  it('streams lines, and tells the counts and times with the last', async () => {
    const body = { model: 'mock', prompt: 'Why is the sky blue?', options: { num_predict: 5 } }
    const lines = await mock.lines<Line>('/api/generate', body)
    expect(lines.slice(0, -1).every(({ done }) => !done)).toBe(true)
    expect(lines.at(-1)).toMatchObject({ done: true, done_reason: 'length', eval_count: 5, response: '' })
    const whole = await mock.json<Line>('/api/generate', { ...body, stream: false })
    expect(whole).toMatchObject({ response: textOf(lines), done: true, done_reason: 'length' })
    // The same rendered prompt, asked as a chat, is answered alike.
    const messages = [{ role: 'user', content: 'Why is the sky blue?' }]
    const chat = await mock.json<Line>('/api/chat', { ...body, messages, stream: false })
    expect(chat.message).toEqual({ role: 'assistant', content: whole.response })
  })

  it('goes on with the answer of the assistant, and with a context', async () => {
    const messages = [{ role: 'user', content: 'Tell me a story' }]
    const options = { seed: 7 }
    const whole = textOf(await mock.lines<Line>('/api/chat', { model: 'mock', messages, options }))
    const begun = { role: 'assistant', content: whole.slice(0, 30) }
    const rest = await mock.lines<Line>('/api/chat', {
      model: 'mock',
      messages: [...messages, begun],
      options,
    })
    expect(begun.content + textOf(rest)).toBe(whole)
    const first = await mock.lines<Line>('/api/generate', { model: 'mock', prompt: 'One' })
    const context = first.at(-1)?.context ?? []
    const second = await mock.json<Line & { prompt_eval_count: number }>('/api/generate', {
      model: 'mock',
      prompt: 'Two',
      context,
      stream: false,
    })
    expect(second.prompt_eval_count).toBeGreaterThan(context.length)
  })

  it('continues a raw prompt as llama-server does', async () => {
    const body = { model: 'mock', prompt: 'In the beginning', raw: true, stream: false }
    const raw = await mock.json<Line>('/api/generate', { ...body, options: { num_predict: 20 } })
    const other = await mock.json<{ content: string }>('/completion', { prompt: body.prompt, n_predict: 20 })
    expect(raw.response).toBe(other.content)
    expect(raw).not.toHaveProperty('context')
  })

  it('loads models when they are asked for and lets them go', async () => {
    expect(await loaded()).toEqual(['mock:latest'])
    expect(await mock.json('/api/generate', { model: 'second:7b' })).toMatchObject({ done_reason: 'load' })
    expect(await loaded()).toEqual(['mock:latest', 'second:7b'])
    const unload = await mock.json('/api/chat', { model: 'second:7b', keep_alive: 0 })
    expect(unload).toMatchObject({ done: true, done_reason: 'unload', message: { content: '' } })
    expect(await loaded()).toEqual(['mock:latest'])
    await mock.json('/api/generate', { model: 'second:7b', keep_alive: '50ms' })
    expect(await loaded()).toEqual(['mock:latest', 'second:7b'])
    await expect.poll(loaded).toEqual(['mock:latest'])
    const { models } = await mock.json<{ models: { expires_at: string }[] }>('/api/ps')
    await mock.json('/api/generate', { model: 'mock', keep_alive: -1 })
    const kept = await mock.json<typeof models extends infer M ? { models: M } : never>('/api/ps')
    expect(new Date(kept.models[0]?.expires_at ?? 0).getFullYear()).toBeGreaterThan(2200)
  })

  it('waits for a load that another engine would refuse, and tells how long it took', async () => {
    const loading = await startMock({ speed: 1, engine: { loadMs: 300 } })
    expect(await loading.json('/api/version')).toMatchObject({ version: expect.stringMatching(/^\d/) })
    const answer = await loading.json<Line>('/api/generate', {
      model: 'mock',
      prompt: 'hi',
      stream: false,
      options: { num_predict: 1 },
    })
    expect(answer.done).toBe(true)
    expect(answer.load_duration).toBeGreaterThan(150e6)
    await loading.close()
  })

  it('lists and shows its models', async () => {
    const tags = await mock.json<{ models: { name: string; digest: string }[] }>('/api/tags')
    expect(tags.models.map(({ name }) => name)).toEqual(['mock:latest', 'second:7b'])
    expect(tags.models[0]?.digest).toMatch(/^[0-9a-f]{64}$/)
    expect(await mock.json('/api/show', { model: 'mock' })).toMatchObject({
      capabilities: ['completion', 'embedding'],
      model_info: { 'mock.context_length': 8192 },
    })
    expect(await (await fetch(mock.url)).text()).toBe('Ollama is running')
  })

  it('embeds: the same text alike, others not, in as many numbers as asked for', async () => {
    const input = ['one text', 'another', 'one text']
    const { embeddings } = await mock.json<{ embeddings: number[][] }>('/api/embed', { model: 'mock', input })
    expect(embeddings.map(({ length }) => length)).toEqual([768, 768, 768])
    expect(embeddings[0]).toEqual(embeddings[2])
    expect(embeddings[0]).not.toEqual(embeddings[1])
    for (const vector of embeddings) expect(Math.hypot(...vector)).toBeCloseTo(1, 5)
    const short = await mock.json<{ embeddings: number[][] }>('/api/embed', {
      model: 'mock',
      input: 'x',
      dimensions: 8,
    })
    expect(short.embeddings[0]).toHaveLength(8)
    const old = await mock.json<{ embedding: number[] }>('/api/embeddings', {
      model: 'mock',
      prompt: 'one text',
    })
    expect(old.embedding).toEqual(embeddings[0])
  })

  it.each([
    ['/api/generate', { model: 'nobody', prompt: 'x' }, 404, "model 'nobody' not found"],
    ['/api/show', { model: 'nobody' }, 404, "model 'nobody' not found"],
    ['/api/chat', { model: 'mock', messages: 'x' }, 400, 'messages: '],
    ['/api/chat', { model: 'mock', keep_alive: 'soon' }, 400, 'keep_alive: "soon"'],
    [
      '/api/generate',
      { model: 'mock', raw: true, truncate: false, prompt: ' a'.repeat(9_000) },
      400,
      'longer than',
    ],
    [
      '/api/embed',
      { model: 'mock', truncate: false, input: ' a'.repeat(9_000) },
      400,
      'exceeds the context length',
    ],
    ['/api/nothing', {}, 404, 'no POST /api/nothing'],
  ])('refuses what it cannot do: %s %j', async (path, body, status, message) => {
    const response = await mock.post(path, body)
    expect(response.status).toBe(status)
    expect(await response.json()).toEqual({ error: expect.stringContaining(message) })
  })
})
