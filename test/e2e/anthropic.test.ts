import { join } from 'node:path'
import Anthropic from '@anthropic-ai/sdk'
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema'
import { jsonSchemaOutputFormat } from '@anthropic-ai/sdk/helpers/json-schema'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/models/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { startDrover, type TestDrover, until } from '../support/drover.ts'
import { quietLog } from '../support/quiet-log.ts'

let drover: TestDrover
beforeAll(async () => {
  drover = await startDrover({ env: { DROVER_ENGINE: 'embedded' } })
})
afterAll(async () => {
  expect(await drover.stop()).toBe(0)
})

const client = (apiKey = 'unused') => new Anthropic({ baseURL: drover.url, apiKey, maxRetries: 0 })
const user = (content: Anthropic.MessageParam['content']): Anthropic.MessageParam[] => [
  { role: 'user', content },
]
const silent = { type: 'disabled' as const }
const ask = (question: string) => ({
  model: 'drover',
  max_tokens: 200,
  temperature: 0,
  messages: user(question),
})
const weather: Anthropic.Tool = {
  name: 'get_weather',
  description: 'Get the current weather of a city',
  input_schema: {
    type: 'object',
    required: ['city'],
    properties: { city: { type: 'string', description: 'The name of the city' } },
  },
}
const textOf = ({ content }: Anthropic.Message) =>
  content.map((block) => (block.type === 'text' ? block.text : '')).join('')

describe('messages', () => {
  it('answers with the truth, its cost and how it ended', async () => {
    const message = await client().messages.create({
      ...ask('What is the capital of France?'),
      thinking: silent,
    })
    expect(textOf(message)).toContain('Paris')
    expect(message).toMatchObject({
      type: 'message',
      role: 'assistant',
      model: 'drover',
      content: [{ type: 'text' }],
      stop_reason: 'end_turn',
      stop_sequence: null,
    })
    expect(message.id).toMatch(/^msg_[0-9a-f]{24}$/)
    expect(message._request_id).toMatch(/^req_[0-9a-f]{24}$/)
    expect(message.usage.output_tokens).toBeGreaterThan(0)
  })

  it('streams the same words that it gives at once, event by event', async () => {
    const body = { ...ask('What is the capital of Italy?'), thinking: silent }
    const stream = client().messages.stream(body)
    const types: string[] = []
    let heard = ''
    stream.on('streamEvent', (event) => types.push(event.type))
    stream.on('text', (delta) => {
      heard += delta
    })
    const message = await stream.finalMessage()
    const whole = await client().messages.create(body)
    expect(heard).toBe(textOf(whole))
    expect(textOf(message)).toBe(heard)
    expect(message.usage).toMatchObject({ ...whole.usage })
    expect(message.stop_reason).toBe('end_turn')
    expect(types.slice(0, 2)).toEqual(['message_start', 'content_block_start'])
    expect(types.slice(-3)).toEqual(['content_block_stop', 'message_delta', 'message_stop'])
    expect(new Set(types.slice(2, -3))).toEqual(new Set(['content_block_delta']))
  })

  it('thinks in a block of its own, at once and in a stream', async () => {
    const body = {
      ...ask('What is the capital of Spain?'),
      max_tokens: 2048,
      thinking: { type: 'enabled' as const, budget_tokens: 1024 },
    }
    const whole = await client().messages.create(body)
    expect(whole.content.map((block) => block.type)).toEqual(['thinking', 'text'])
    expect(textOf(whole)).toContain('Madrid')
    const stream = client().messages.stream(body)
    let heard = ''
    stream.on('thinking', (delta) => {
      heard += delta
    })
    const streamed = await stream.finalMessage()
    expect(streamed.content).toEqual(whole.content)
    expect(streamed.content[0]).toMatchObject({ type: 'thinking', thinking: heard })
  })

  it('calls a tool, at once and in a stream, and reads its result', async () => {
    const body = { ...ask('What is the weather in Paris?'), tools: [weather], thinking: silent }
    const first = await client().messages.create(body)
    const [call] = first.content.filter((block) => block.type === 'tool_use')
    expect(first.stop_reason).toBe('tool_use')
    expect(call).toMatchObject({ name: 'get_weather', input: { city: 'Paris' } })

    const streamed = await client().messages.stream(body).finalMessage()
    expect(streamed.stop_reason).toBe('tool_use')
    expect(streamed.content.at(-1)).toMatchObject({ type: 'tool_use', input: { city: 'Paris' } })

    const second = await client().messages.create({
      ...body,
      messages: [
        ...body.messages,
        { role: 'assistant', content: first.content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: call?.id ?? '', content: 'sunny' }] },
      ],
    })
    expect(textOf(second).toLowerCase()).toContain('sunny')
  })

  it('calls no tool where the choice is none', async () => {
    const body = { ...ask('What is the weather in Paris?'), tools: [weather], thinking: silent }
    const message = await client().messages.create({ ...body, tool_choice: { type: 'none' } })
    expect(message.content.map((block) => block.type)).toEqual(['text'])
  })

  it('ends at a stop sequence, or at the most tokens, and says which', async () => {
    const body = { ...ask('What is the capital of France?'), thinking: silent }
    const whole = textOf(await client().messages.create(body))
    const stop = await client().messages.create({ ...body, stop_sequences: ['never said', 'Paris'] })
    expect(stop).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: 'Paris' })
    expect(textOf(stop)).toBe(whole.slice(0, whole.indexOf('Paris')))
    const streamed = await client()
      .messages.stream({ ...body, stop_sequences: ['Paris'] })
      .finalMessage()
    expect(streamed).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: 'Paris' })
    const short = await client().messages.create({ ...body, max_tokens: 1 })
    expect(short).toMatchObject({ stop_reason: 'max_tokens', usage: { output_tokens: 1 } })
  })

  it('answers by a schema', async () => {
    const format = jsonSchemaOutputFormat({
      type: 'object',
      properties: { country: { type: 'string' }, capital: { type: 'string' } },
      required: ['country', 'capital'],
    })
    const { parsed_output: parsed } = await client().messages.parse({
      ...ask('What is the capital of Japan? Answer in JSON.'),
      thinking: silent,
      output_config: { format },
    })
    expect(parsed?.capital).toBeTypeOf('string')
  })

  it.each([false, true])('lets the beta client run its tools to the end (streaming: %s)', async (stream) => {
    const asked: unknown[] = []
    const tool = betaTool({
      name: weather.name,
      description: 'Get the current weather of a city',
      inputSchema: {
        type: 'object',
        required: ['city'],
        properties: { city: { type: 'string', description: 'The name of the city' } },
      },
      run: (input) => {
        asked.push(input)
        return 'sunny'
      },
    })
    const message = await client().beta.messages.toolRunner({
      ...ask('What is the weather in Paris?'),
      thinking: silent,
      tools: [tool],
      stream,
    })
    expect(asked).toEqual([{ city: 'Paris' }])
    expect(message.stop_reason).toBe('end_turn')
    expect(JSON.stringify(message.content).toLowerCase()).toContain('sunny')
  })
})

describe('the rest of the client', () => {
  it('lists the models, and is told that there are no batches', async () => {
    const ids: string[] = []
    for await (const model of client().models.list()) ids.push(model.id)
    expect(ids).toContain('drover:latest')
    expect((await client().models.retrieve('drover')).id).toBe('drover')
    await expect(client().messages.batches.list()).rejects.toBeInstanceOf(Anthropic.NotFoundError)
  })
})

describe('counting tokens', () => {
  it('gives what the message then costs, tools and system included', async () => {
    const body = ask('What is the weather in Paris?')
    const { model, messages } = body
    const bare = await client().messages.countTokens({ model, messages })
    const more = { system: 'Be brief.', tools: [weather], thinking: silent }
    const { input_tokens: counted } = await client().messages.countTokens({ model, messages, ...more })
    expect(counted).toBeGreaterThan(bare.input_tokens)
    const { usage } = await client().messages.create({ ...body, ...more })
    expect(usage.input_tokens).toBe(counted)
  })
})

describe('errors', () => {
  it('are of the class that their status has', async () => {
    const refused = (body: Partial<Anthropic.MessageCreateParamsNonStreaming>) =>
      client()
        .messages.create({ ...ask('Hi'), ...body })
        .catch((error: unknown) => error)
    expect(await refused({ model: 'nope' })).toBeInstanceOf(Anthropic.NotFoundError)
    expect(await refused({ model: 'nope' })).toMatchObject({
      status: 404,
      type: 'not_found_error',
      error: { type: 'error', error: { type: 'not_found_error', message: "model 'nope' not found" } },
    })
    const noTokens = await refused({ max_tokens: 0 })
    expect(noTokens).toBeInstanceOf(Anthropic.BadRequestError)
    expect(noTokens).toMatchObject({
      status: 400,
      type: 'invalid_request_error',
      requestID: expect.stringMatching(/^req_/),
    })
    expect(String(noTokens)).toContain('max_tokens is required and must be positive')
  })

  it('come before a stream begins', async () => {
    await expect(
      client()
        .messages.stream({ ...ask('Hi'), model: 'nope' })
        .finalMessage(),
    ).rejects.toBeInstanceOf(Anthropic.NotFoundError)
  })

  it('name the images that a model cannot see, and those that are elsewhere', async () => {
    const show = (source: Anthropic.ImageBlockParam['source']) =>
      client().messages.create({
        ...ask(''),
        messages: user([
          { type: 'image', source },
          { type: 'text', text: 'What is this?' },
        ]),
      })
    const pixel =
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=='
    await expect(show({ type: 'base64', media_type: 'image/png', data: pixel })).rejects.toThrow(
      'does not support vision',
    )
    await expect(show({ type: 'url', url: 'https://example.com/a.png' })).rejects.toThrow(
      'invalid image source type: url. Only base64 images are supported.',
    )
  })

  it('are never about the key', async () => {
    const message = await client('any key at all').messages.create({
      ...ask('What is the capital of France?'),
      thinking: silent,
    })
    expect(message.type).toBe('message')
  })
})

describe('a client that leaves in the middle of a stream', () => {
  /** Puts a model that never ends by itself into Drover's store. */
  async function addTalker(): Promise<void> {
    const store = await openStore({ root: drover.modelsDir, log: quietLog })
    const path = join(drover.modelsDir, 'talker.gguf')
    const shape = { layers: 2, dim: 64, heads: 2, context: 8192, seed: 5 }
    await writeSyntheticGguf(path, { architecture: 'llama', endless: true, ...shape })
    await store.importGguf('talker', { path })
  }

  it('ends its generation', async () => {
    await addTalker()
    const stream = client().messages.stream({ ...ask('x'), model: 'talker', max_tokens: 100_000 })
    await expect(
      (async () => {
        for await (const event of stream) {
          if (event.type === 'content_block_delta') stream.abort()
        }
      })(),
    ).rejects.toBeInstanceOf(Anthropic.APIUserAbortError)
    const isLogged = () => /\bstatus\W+499\b/.test(drover.output())
    await until('the aborted request is in the log', 1000, isLogged)
    const next = await client().messages.create({ ...ask('x'), model: 'talker', max_tokens: 1 })
    expect(next.usage.output_tokens).toBe(1)
  })
})
