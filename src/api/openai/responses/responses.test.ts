import { describe, expect, it } from 'vitest'
import { DroverError } from '../../../inference/index.ts'
import { done, replay, testApi } from '../../testing/double.ts'

const ask = async (body: object, script = replay({ type: 'token', text: 'Hi' }, done())) => {
  const api = testApi({ script })
  const reply = await api.post('/v1/responses', { model: 'tiny', ...body })
  return { ...api, reply, json: reply.body.startsWith('{') ? JSON.parse(reply.body) : undefined }
}

/** Name and data of each event. */
function eventsOf(text: string): { type: string; data: Record<string, unknown> }[] {
  return text
    .split('\n\n')
    .filter((block) => block !== '')
    .map((block) => {
      const [, type = '', json = ''] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? []
      const data = JSON.parse(json)
      expect(data.type).toBe(type)
      return { type, data }
    })
}

const call = { id: 'call_1', function: { index: 0, name: 'time', arguments: { zone: 'UTC' } } }

describe('the input of a response', () => {
  it('may be a text, with instructions before it', async () => {
    const { asked } = await ask({ input: 'hello', instructions: 'Be brief.', max_output_tokens: 5 })
    expect(asked[0]).toMatchObject({
      kind: 'chat',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hello' },
      ],
      options: { temperature: 1, top_p: 1, num_predict: 5 },
    })
  })

  it('may be a whole conversation with calls, their outputs and thinking', async () => {
    const { asked } = await ask({
      input: [
        { role: 'developer', content: 'Be brief.' },
        {
          type: 'message',
          role: 'user',
          content: [
            { type: 'input_text', text: 'what ' },
            { type: 'input_text', text: 'time?' },
          ],
        },
        { type: 'reasoning', summary: [], encrypted_content: 'I need the clock.' },
        { type: 'function_call', call_id: 'call_1', name: 'time', arguments: '{"zone":"UTC"}' },
        { type: 'function_call', call_id: 'call_2', name: 'date', arguments: '{}' },
        { type: 'function_call_output', call_id: 'call_1', output: '12:00' },
        { type: 'function_call_output', call_id: 'call_2', output: [{ type: 'input_text', text: 'Monday' }] },
      ],
    })
    expect(asked[0]).toMatchObject({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'what time?' },
        {
          role: 'assistant',
          content: '',
          thinking: 'I need the clock.',
          tool_calls: [
            { id: 'call_1', function: { index: 0, name: 'time', arguments: { zone: 'UTC' } } },
            { id: 'call_2', function: { index: 1, name: 'date', arguments: {} } },
          ],
        },
        { role: 'tool', content: '12:00', tool_name: 'time', tool_call_id: 'call_1' },
        { role: 'tool', content: 'Monday', tool_name: 'date', tool_call_id: 'call_2' },
      ],
    })
  })

  it('may hold images, tools of a namespace, an effort and a format', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } } }
    const { asked } = await ask({
      input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'data:image/png;base64,AQI=' }] }],
      tools: [
        { type: 'function', name: 'time', description: 'tells the time', parameters: schema },
        { type: 'namespace', name: 'files', tools: [{ type: 'function', name: 'read' }] },
        { type: 'web_search' },
      ],
      reasoning: { effort: 'high' },
      text: { format: { type: 'json_schema', name: 'x', schema } },
    })
    expect(asked[0]).toMatchObject({
      messages: [{ role: 'user', content: '', images: [Buffer.from([1, 2])] }],
      tools: [
        { type: 'function', function: { name: 'time', description: 'tells the time' } },
        { type: 'function', function: { name: 'read' } },
      ],
      think: 'high',
      format: schema,
    })
  })

  it.each([
    [{ input: [{ type: 'x' }] }, 'input[0]: unknown input item type: "x"'],
    [{ input: ['x'] }, 'input[0]: an item must be an object'],
    [{}, 'input must be a string or an array of items'],
    [
      { input: [{ role: 'user', content: [{ type: 'input_file' }] }] },
      'file inputs are not currently supported',
    ],
    [{ input: [{ type: 'function_call', arguments: '[' }] }, 'invalid tool call arguments'],
    [
      { input: 'x', reasoning: { effort: 'y' } },
      'invalid reasoning value: "y" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none")',
    ],
    [
      { input: 'x', previous_response_id: 'resp_1' },
      'previous_response_id is not supported: no answer is kept here, send the whole conversation as input',
    ],
  ])('%j is refused', async (body, message) => {
    const { reply, json } = await ask(body)
    expect([reply.statusCode, json.error]).toEqual([
      400,
      { message, type: 'invalid_request_error', param: null, code: null },
    ])
  })

  it('names a model that there is', async () => {
    const { reply, json } = await ask({ model: 'none', input: 'x' })
    expect([reply.statusCode, json.error.message]).toEqual([404, "model 'none' not found"])
  })
})

describe('a whole response', () => {
  it('has thinking, calls and text as items', async () => {
    const { json } = await ask(
      { input: 'x' },
      replay(
        { type: 'thinking', text: 'Hm.' },
        { type: 'token', text: 'It is ' },
        { type: 'token', text: 'noon.' },
        { type: 'toolCall', call },
        done(),
      ),
    )
    expect(json).toMatchObject({
      id: expect.stringMatching(/^resp_\d+$/),
      object: 'response',
      status: 'completed',
      model: 'tiny',
      output: [
        { type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hm.' }], encrypted_content: 'Hm.' },
        {
          type: 'function_call',
          status: 'completed',
          call_id: 'call_1',
          name: 'time',
          arguments: '{"zone":"UTC"}',
        },
        {
          type: 'message',
          status: 'completed',
          role: 'assistant',
          content: [{ type: 'output_text', text: 'It is noon.', annotations: [], logprobs: [] }],
        },
      ],
      usage: {
        input_tokens: 7,
        output_tokens: 3,
        total_tokens: 10,
        input_tokens_details: { cached_tokens: 0 },
      },
      error: null,
    })
  })

  it('that was cut by its limit still counts as completed', async () => {
    const { json } = await ask(
      { input: 'x' },
      replay({ type: 'token', text: 'a' }, done({ reason: 'length' })),
    )
    expect(json.status).toBe('completed')
  })
})

describe('a streamed response', () => {
  const stream = async (...events: Parameters<typeof replay>) => {
    const { reply } = await ask({ input: 'x', stream: true }, replay(...events))
    expect(reply.headers['content-type']).toBe('text/event-stream')
    return eventsOf(reply.body)
  }

  it('opens, fills and closes each item in turn, numbered without a gap', async () => {
    const events = await stream(
      { type: 'thinking', text: 'Hm' },
      { type: 'thinking', text: '.' },
      { type: 'token', text: 'No' },
      { type: 'token', text: 'on' },
      { type: 'toolCall', call },
      done(),
    )
    expect(events.map(({ type }) => type)).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.reasoning_summary_part.added',
      'response.reasoning_summary_text.delta',
      'response.reasoning_summary_text.delta',
      'response.reasoning_summary_text.done',
      'response.reasoning_summary_part.done',
      'response.output_item.done',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.output_item.added',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.done',
      'response.output_item.done',
      'response.completed',
    ])
    expect(events.map(({ data }) => data['sequence_number'])).toEqual(events.map((_, index) => index))
    const added = events.filter(({ type }) => type === 'response.output_item.added')
    expect(added.map(({ data }) => data['output_index'])).toEqual([0, 1, 2])
    expect(events.at(-1)?.data['response']).toMatchObject({
      status: 'completed',
      output: [
        { type: 'reasoning' },
        { type: 'message', content: [{ text: 'Noon' }] },
        { type: 'function_call' },
      ],
      usage: { total_tokens: 10 },
    })
  })

  it('of nothing has an empty message', async () => {
    const events = await stream(done())
    expect(events.at(-1)?.data['response']).toMatchObject({
      output: [{ type: 'message', content: [{ text: '' }] }],
    })
  })

  it('that breaks ends with what happened', async () => {
    const events = await stream(
      { type: 'token', text: 'a' },
      new DroverError('engine_crashed', 'engine died'),
    )
    expect(events.at(-1)).toMatchObject({
      type: 'response.failed',
      data: { response: { status: 'failed', error: { code: 'server_error', message: 'engine died' } } },
    })
  })
})
