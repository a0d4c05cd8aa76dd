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

const weather = {
  type: 'function' as const,
  name: 'get_weather',
  description: 'Get the current weather of a city',
  strict: false,
  parameters: {
    type: 'object',
    required: ['city'],
    properties: { city: { type: 'string', description: 'The name of the city' } },
  },
}

describe('the responses of the openai client', () => {
  const client = () => new OpenAI({ baseURL: `${drover.url}/v1`, apiKey: 'none', maxRetries: 0 })

  it('answers a question', async () => {
    const response = await client().responses.create({
      model: 'drover',
      input: 'What is the capital of France?',
      temperature: 0,
    })
    expect(response.output_text).toContain('Paris')
    expect(response.usage?.output_tokens).toBeGreaterThan(0)
  })

  it('streams text, and the client puts the same response together', async () => {
    const stream = client().responses.stream({
      model: 'drover',
      instructions: 'Be brief.',
      input: 'What is the capital of France?',
      temperature: 0,
    })
    let text = ''
    for await (const event of stream) if (event.type === 'response.output_text.delta') text += event.delta
    const final = await stream.finalResponse()
    expect(text).toContain('Paris')
    expect(final.output_text).toBe(text)
  })

  it('calls a tool, and goes on with its output', async () => {
    const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: 'What is the weather in Paris?' }]
    const ask = () =>
      client().responses.create({
        model: 'drover',
        input,
        tools: [weather],
        temperature: 0,
        reasoning: { effort: 'none' },
      })
    const first = await ask()
    const call = first.output.find((item) => item.type === 'function_call')
    if (!call) throw new Error(`no call in ${JSON.stringify(first.output)}`)
    expect([call.name, JSON.parse(call.arguments)]).toEqual(['get_weather', { city: 'Paris' }])
    input.push(call, { type: 'function_call_output', call_id: call.call_id, output: 'sunny' })
    expect((await ask()).output_text.toLowerCase()).toContain('sunny')
  })

  it('thinks in an item of its own', async () => {
    const response = await client().responses.create({
      model: 'drover',
      input: 'What is the capital of France?',
      temperature: 0,
      reasoning: { effort: 'high' },
    })
    expect(response.output.map(({ type }) => type)).toEqual(['reasoning', 'message'])
    expect(response.output_text).toContain('Paris')
  })

  it('refuses an unknown model with the client’s own error', async () => {
    const asked = client().responses.create({ model: 'none', input: 'x' })
    await expect(asked).rejects.toBeInstanceOf(OpenAI.NotFoundError)
  })
})
