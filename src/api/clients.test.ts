import type { AddressInfo } from 'node:net'
import { Ollama } from 'ollama'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DroverError, type InferenceEvent, type InferenceRequest } from '../inference/index.ts'
import { done, testApi } from './testing/double.ts'

/** Thinks, speaks and calls the first tool it is offered; breaks off when the prompt says so. */
async function* script(request: InferenceRequest): AsyncGenerator<InferenceEvent> {
  const asked = JSON.stringify(request)
  yield { type: 'thinking', text: 'Let me see.' }
  yield { type: 'token', text: 'Hello ' }
  if (asked.includes('break')) throw new DroverError('engine_crashed', 'the engine died')
  yield { type: 'token', text: 'you' }
  const tool = request.kind === 'chat' ? request.tools?.[0]?.function.name : undefined
  if (tool)
    yield {
      type: 'toolCall',
      call: { id: 'call_1', function: { index: 0, name: tool, arguments: { city: 'Boston' } } },
    }
  yield done()
}

const { app } = testApi({ script })
let host = ''

beforeAll(async () => {
  await app.listen({ host: '127.0.0.1', port: 0 })
  host = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
})
afterAll(() => app.close())

const messages = [{ role: 'user' as const, content: 'hi' }]
const weather = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    description: 'The weather of a city',
    parameters: {
      type: 'object',
      required: ['city'],
      properties: { city: { type: 'string', description: 'City' } },
    },
  },
}

describe("Ollama's own client", () => {
  const ollama = () => new Ollama({ host })

  it('streams a chat with thinking and a tool call', async () => {
    const stream = await ollama().chat({ model: 'tiny', messages, tools: [weather], stream: true })
    const parts = []
    for await (const part of stream) parts.push(part)
    expect(parts.map((part) => part.message.content).join('')).toBe('Hello you')
    expect(parts.map((part) => part.message.thinking ?? '').join('')).toBe('Let me see.')
    expect(parts.flatMap((part) => part.message.tool_calls ?? [])).toMatchObject([
      { function: { name: 'get_weather', arguments: { city: 'Boston' } } },
    ])
    expect(parts.at(-1)).toMatchObject({ done: true, done_reason: 'stop', eval_count: 3 })
  })

  it('generates, embeds, lists and shows', async () => {
    const answer = await ollama().generate({ model: 'tiny', prompt: 'hi' })
    expect(answer).toMatchObject({ response: 'Hello you', thinking: 'Let me see.', done: true })
    const { embeddings } = await ollama().embed({ model: 'tiny', input: ['a', 'b'] })
    expect(embeddings).toEqual([
      [0.1, -0.25, 1e-9],
      [0.1, -0.25, 1e-9],
    ])
    expect((await ollama().list()).models[0]?.name).toBe('tiny:latest')
    expect((await ollama().ps()).models).toEqual([])
    expect((await ollama().show({ model: 'tiny' })).details.family).toBe('llama')
  })

  it('reports what is refused and what breaks off', async () => {
    await expect(ollama().chat({ model: 'nope', messages })).rejects.toMatchObject({
      message: "model 'nope' not found",
      status_code: 404,
    })
    const stream = await ollama().generate({ model: 'tiny', prompt: 'break', stream: true })
    const read = async () => {
      for await (const part of stream) expect(part.done).toBe(false)
    }
    await expect(read()).rejects.toThrow('the engine died')
  })
})

describe("OpenAI's client", () => {
  const openai = () => new OpenAI({ baseURL: `${host}/v1`, apiKey: 'unused', maxRetries: 0 })

  it('streams a chat with a tool call and the usage', async () => {
    const stream = await openai().chat.completions.create({
      model: 'tiny',
      messages,
      tools: [weather],
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = []
    for await (const chunk of stream) chunks.push(chunk)
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe('Hello you')
    const calls = chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? [])
    expect(calls[0]?.function).toEqual({ name: 'get_weather', arguments: '{"city":"Boston"}' })
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('tool_calls')
    expect(chunks.at(-1)?.usage?.total_tokens).toBe(10)
  })

  it('completes, embeds and lists', async () => {
    const completion = await openai().completions.create({ model: 'tiny', prompt: 'hi' })
    expect(completion.choices[0]?.text).toBe('Hello you')
    // This client asks for base64 by itself and unpacks it.
    const { data } = await openai().embeddings.create({ model: 'tiny', input: 'a' })
    expect(data[0]?.embedding[1]).toBe(-0.25)
    expect((await openai().models.list()).data[0]?.id).toBe('tiny:latest')
    expect((await openai().models.retrieve('tiny')).owned_by).toBe('library')
  })

  it('reports what is refused and what breaks off', async () => {
    const refused = openai().chat.completions.create({ model: 'nope', messages })
    await expect(refused).rejects.toMatchObject({ status: 404, type: 'not_found_error' })
    const broken = [{ role: 'user' as const, content: 'break' }]
    const stream = await openai().chat.completions.create({ model: 'tiny', messages: broken, stream: true })
    const read = async () => {
      for await (const chunk of stream) expect(chunk.choices).toHaveLength(1)
    }
    await expect(read()).rejects.toThrow('the engine died')
  })
})
