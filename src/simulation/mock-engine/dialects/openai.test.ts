import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startMock, type TestMock } from '../testing.ts'

interface Chunk {
  choices: { delta?: { role?: string; content?: string }; text?: string; finish_reason: string | null }[]
  usage?: { prompt_tokens: number; completion_tokens: number } | null
}

let mock: TestMock
beforeAll(async () => {
  mock = await startMock()
})
afterAll(() => mock.close())

const messages = [{ role: 'user', content: [{ type: 'text', text: 'Hello' }, { type: 'image_url' }] }]
const contentOf = (chunks: readonly Chunk[]) =>
  chunks.flatMap(({ choices }) => choices.map(({ delta, text }) => delta?.content ?? text ?? '')).join('')

describe("OpenAI's dialect", () => {
  it('streams a chat, whose role comes first and whose usage comes last', async () => {
    const body = { messages, max_completion_tokens: 6, stream: true, stream_options: { include_usage: true } }
    const response = await mock.post('/v1/chat/completions', body)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect((await response.text()).endsWith('data: [DONE]\n\n')).toBe(true)
    const chunks = await mock.events<Chunk>('/v1/chat/completions', body)
    expect(chunks[0]?.choices[0]?.delta).toMatchObject({ role: 'assistant' })
    expect(chunks.filter(({ choices }) => choices[0]?.delta?.role)).toHaveLength(1)
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('length')
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 6 } })
    const whole = await mock.json<{ choices: { message: { content: string } }[] }>('/v1/chat/completions', {
      ...body,
      stream: false,
    })
    expect(whole.choices[0]?.message.content).toBe(contentOf(chunks))
  })

  it('completes texts and tokens', async () => {
    const { tokens } = await mock.json<{ tokens: number[] }>('/tokenize', { content: 'Once upon' })
    const texts = await Promise.all(
      ['Once upon', ['Once upon'], tokens, [tokens]].map(async (prompt) => {
        const answer = await mock.json<Chunk>('/v1/completions', { prompt, max_tokens: 9, ignore_eos: true })
        return answer.choices[0]?.text
      }),
    )
    expect(new Set(texts).size).toBe(1)
    const streamed = await mock.events<Chunk>('/v1/completions', {
      prompt: 'Once upon',
      max_tokens: 9,
      ignore_eos: true,
      stream: true,
    })
    expect(contentOf(streamed)).toBe(texts[0])
    const other = await mock.json<Chunk>('/v1/completions', { prompt: 'Once upon', max_tokens: 9, seed: 5 })
    expect(other.choices[0]?.text).not.toBe(texts[0])
  })

  it('embeds as numbers and as base64', async () => {
    const ask = { input: ['a', 'b'], dimensions: 4 }
    type Answer<T> = { data: { embedding: T }[]; usage: { prompt_tokens: number } }
    const numbers = await mock.json<Answer<number[]>>('/v1/embeddings', ask)
    const coded = await mock.json<Answer<string>>('/v1/embeddings', { ...ask, encoding_format: 'base64' })
    expect(numbers.usage.prompt_tokens).toBe(2)
    for (const [index, { embedding }] of coded.data.entries()) {
      const bytes = Buffer.from(embedding, 'base64')
      expect([0, 4, 8, 12].map((at) => bytes.readFloatLE(at))).toEqual(numbers.data[index]?.embedding)
    }
  })

  it('lists its models', async () => {
    expect(await mock.json('/v1/models')).toMatchObject({
      object: 'list',
      data: [{ id: 'mock', max_model_len: 8192 }],
    })
    expect(await mock.json('/v1/models/mock')).toMatchObject({ id: 'mock' })
    expect((await fetch(`${mock.url}/v1/models/nobody`)).status).toBe(404)
  })

  it.each([
    ['/v1/chat/completions', { model: 'nobody', messages }, 404, 'model_not_found'],
    ['/v1/chat/completions', { messages, n: 3 }, 400, null],
    ['/v1/completions', { prompt: ['a', 'b'] }, 400, null],
    ['/v1/completions', { prompt: ' a'.repeat(9_000) }, 400, 'context_length_exceeded'],
  ])('refuses what it cannot do: %s %j', async (path, body, status, code) => {
    const response = await mock.post(path, body)
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ error: { code, message: expect.stringMatching(/./) } })
  })
})
