import { Ollama } from 'ollama'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startDrover, type TestDrover } from '../support/drover.ts'

let drover: TestDrover
beforeAll(async () => {
  drover = await startDrover({ env: { DROVER_ENGINE: 'embedded' } })
})
afterAll(async () => {
  expect(await drover.stop()).toBe(0)
})

const user = (content: string) => [{ role: 'user' as const, content }]
const parameters = {
  type: 'object',
  required: ['city'],
  properties: { city: { type: 'string', description: 'The name of the city' } },
}
const weather = { name: 'get_weather', description: 'Get the current weather of a city', parameters }

describe('the ollama client', () => {
  const client = () => new Ollama({ host: drover.url })

  it('streams a chat', async () => {
    let text = ''
    const stream = await client().chat({
      model: 'drover',
      messages: user('What is the capital of France?'),
      stream: true,
    })
    for await (const part of stream) text += part.message.content
    expect(text).toContain('Paris')
  })

  it('calls a tool and reads its reply', async () => {
    const tools = [{ type: 'function', function: weather }]
    const messages = user('What is the weather in Paris?')
    const first = await client().chat({ model: 'drover', messages, tools, think: false })
    expect(first.message.tool_calls?.[0]?.function).toMatchObject({
      name: 'get_weather',
      arguments: { city: 'Paris' },
    })
    const reply = { role: 'tool', content: 'sunny', tool_name: 'get_weather' }
    const second = await client().chat({
      model: 'drover',
      messages: [...messages, first.message, reply],
      tools,
      think: false,
    })
    expect(second.message.content.toLowerCase()).toContain('sunny')
  })

  it('gets JSON, lists, shows and sees what runs', async () => {
    const answer = await client().generate({
      model: 'drover',
      prompt: 'What is the capital of Japan? Answer in JSON.',
      format: 'json',
      think: false,
    })
    expect(JSON.parse(answer.response ?? '')).toBeTypeOf('object')
    expect((await client().list()).models.map((model) => model.name)).toContain('drover:latest')
    expect((await client().show({ model: 'drover' })).capabilities).toContain('tools')
    expect((await client().ps()).models).toHaveLength(1)
  })

  it('reports an unknown model with its status', async () => {
    await expect(client().chat({ model: 'nope', messages: user('Hi') })).rejects.toMatchObject({
      status_code: 404,
      error: "model 'nope' not found",
    })
  })

  it('aborts a stream, and the slot is free at once', async () => {
    const ollama = client()
    const stream = await ollama.chat({ model: 'drover', messages: user('Tell me a story.'), stream: true })
    await expect(
      (async () => {
        for await (const _ of stream) ollama.abort()
      })(),
    ).rejects.toMatchObject({ name: 'AbortError' })
    const answer = await client().chat({
      model: 'drover',
      messages: user('What is the capital of Italy?'),
      think: false,
    })
    expect(answer.message.content).toContain('Rome')
  })
})

describe('the openai client', () => {
  const client = () => new OpenAI({ baseURL: `${drover.url}/v1`, apiKey: 'unused' })

  it('streams a chat with usage', async () => {
    const stream = await client().chat.completions.create({
      model: 'drover',
      messages: user('What is the capital of France?'),
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0,
    })
    let text = ''
    let usage: OpenAI.CompletionUsage | null | undefined
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      usage = chunk.usage ?? usage
    }
    expect(text).toContain('Paris')
    expect(usage?.total_tokens).toBe((usage?.prompt_tokens ?? 0) + (usage?.completion_tokens ?? 0))
  })

  it('calls a tool with its arguments as text', async () => {
    const answer = await client().chat.completions.create({
      model: 'drover',
      messages: user('What is the weather in Paris?'),
      tools: [{ type: 'function', function: weather }],
      reasoning_effort: 'none',
      temperature: 0,
    })
    const [call] = answer.choices[0]?.message.tool_calls ?? []
    expect(answer.choices[0]?.finish_reason).toBe('tool_calls')
    expect(call?.type === 'function' && JSON.parse(call.function.arguments)).toEqual({ city: 'Paris' })
  })

  it('answers by a JSON schema', async () => {
    const answer = await client().chat.completions.create({
      model: 'drover',
      messages: user('What is the capital of Japan? Answer in JSON.'),
      max_tokens: 100,
      reasoning_effort: 'none',
      temperature: 0,
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'capital',
          schema: {
            type: 'object',
            properties: { country: { type: 'string' }, capital: { type: 'string' } },
            required: ['country', 'capital'],
          },
        },
      },
    })
    expect(JSON.parse(answer.choices[0]?.message.content ?? '').capital).toBeTypeOf('string')
  })

  it('completes text, lists models and tells errors apart', async () => {
    const completion = await client().completions.create({
      model: 'drover',
      prompt: 'What is the capital of France?',
      temperature: 0,
    })
    expect(completion.choices[0]?.text).toContain('Paris')
    const ids = (await client().models.list()).data.map((model) => model.id)
    expect(ids).toContain('drover:latest')
    await expect(
      client().chat.completions.create({ model: 'nope', messages: user('Hi') }),
    ).rejects.toMatchObject({
      status: 404,
      type: 'not_found_error',
    })
  })
})
