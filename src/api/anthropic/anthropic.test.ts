import { afterEach, describe, expect, it, vi } from 'vitest'
import { DroverError, type InferenceEvent } from '../../inference/index.ts'
import { done, replay, testApi } from '../testing/double.ts'

const user = (content: unknown) => ({ role: 'user', content })
const ask = { model: 'tiny', max_tokens: 16, messages: [user('hi')] }
const streamed = { ...ask, stream: true }
const call = (name: string, args: Record<string, unknown>, id = 'call_1') => ({
  type: 'toolCall' as const,
  call: { id, function: { index: 0, name, arguments: args } },
})

/** Ids replaced by `N`. */
const normal = (text: string) => text.replace(/(msg|req|srvtoolu)_[0-9a-f]{24}/g, '$1_N')

/** A stream's events as `[name, data]`, having checked that each datum is of the type its event names. */
function events(body: string): [string, Record<string, unknown>][] {
  return body
    .split('\n\n')
    .filter(Boolean)
    .map((block) => {
      const [, name = '', json = ''] = /^event: (\w+)\ndata: (.*)$/.exec(normal(block)) ?? []
      const data = JSON.parse(json)
      expect(data.type).toBe(name)
      return [name, data]
    })
}

async function answerOf(...script: (InferenceEvent | Error)[]) {
  const { post } = testApi({ script: replay(...script) })
  return { stream: await post('/v1/messages', streamed), whole: await post('/v1/messages', ask) }
}

describe('the stream of a message', () => {
  const usage = (input: number, output: number) =>
    `"usage":{"input_tokens":${input},"output_tokens":${output}}`

  it('starts, opens and closes a block for each kind of content, and stops', async () => {
    const { stream } = await answerOf(
      { type: 'thinking', text: 'hm' },
      { type: 'thinking', text: '\n' },
      { type: 'token', text: 'Hi' },
      { type: 'token', text: '' },
      { type: 'token', text: ' <you>' },
      call('f', { z: 1, a: '"' }),
      call('g', {}, 'call_2'),
      done(),
    )
    expect(stream.statusCode).toBe(200)
    expect(stream.headers).toMatchObject({ 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    expect(stream.headers['request-id']).toMatch(/^req_[0-9a-f]{24}$/)
    const started =
      '{"type":"message_start","message":{"id":"msg_N","type":"message","role":"assistant","model":"tiny",'
    const delta = (index: number, json: string) =>
      `event: content_block_delta\ndata: {"type":"content_block_delta","index":${index},"delta":${json}}\n\n`
    const open = (index: number, json: string) =>
      `event: content_block_start\ndata: {"type":"content_block_start","index":${index},"content_block":${json}}\n\n`
    const close = (index: number) =>
      `event: content_block_stop\ndata: {"type":"content_block_stop","index":${index}}\n\n`
    expect(normal(stream.body)).toBe(
      [
        `event: message_start\ndata: ${started}"content":[],"stop_reason":null,"stop_sequence":null,${usage(1, 0)}}}\n\n`,
        open(0, '{"type":"thinking","thinking":"","signature":""}'),
        delta(0, '{"type":"thinking_delta","thinking":"hm"}'),
        delta(0, '{"type":"thinking_delta","thinking":"\\n"}'),
        close(0),
        open(1, '{"type":"text","text":""}'),
        delta(1, '{"type":"text_delta","text":"Hi"}'),
        delta(1, '{"type":"text_delta","text":" \\u003cyou\\u003e"}'),
        close(1),
        open(2, '{"type":"tool_use","id":"call_1","name":"f","input":{}}'),
        delta(2, '{"type":"input_json_delta","partial_json":"{\\"z\\":1,\\"a\\":\\"\\\\\\"\\"}"}'),
        close(2),
        open(3, '{"type":"tool_use","id":"call_2","name":"g","input":{}}'),
        delta(3, '{"type":"input_json_delta","partial_json":"{}"}'),
        close(3),
        `event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},${usage(7, 3)}}\n\n`,
        'event: message_stop\ndata: {"type":"message_stop"}\n\n',
      ].join(''),
    )
  })

  it('gives thinking and text that come again blocks of their own', async () => {
    const { stream } = await answerOf(
      { type: 'token', text: 'a' },
      { type: 'thinking', text: 'b' },
      call('f', {}),
      { type: 'token', text: 'c' },
      done(),
    )
    const opened = events(stream.body).filter(([name]) => name === 'content_block_start')
    expect(opened.map(([, data]) => [data.index, (data.content_block as { type: string }).type])).toEqual([
      [0, 'text'],
      [1, 'thinking'],
      [2, 'tool_use'],
      [3, 'text'],
    ])
  })

  it('starts and stops even when nothing was said', async () => {
    const { stream, whole } = await answerOf(done())
    expect(events(stream.body).map(([name]) => name)).toEqual([
      'message_start',
      'message_delta',
      'message_stop',
    ])
    expect(JSON.parse(whole.body)).toMatchObject({ content: [], stop_reason: 'end_turn' })
  })

  it('ends with an error event when the answer breaks off, and without the end of a good one', async () => {
    const { stream } = await answerOf(
      { type: 'token', text: 'Hi' },
      new DroverError('engine_crashed', 'the engine died'),
    )
    expect(stream.statusCode).toBe(200)
    expect(events(stream.body).at(-1)).toEqual([
      'error',
      { type: 'error', error: { type: 'api_error', message: 'the engine died' }, request_id: 'req_N' },
    ])
    expect(stream.body).toContain(`"request_id":"${stream.headers['request-id']}"`)
    expect(stream.body).not.toContain('message_stop')
  })

  it('tells in its first event about how long the prompt is', async () => {
    const { post } = testApi()
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } }
    const content = [{ type: 'text', text: 'x'.repeat(400) }, image]
    const reply = await post('/v1/messages', { ...streamed, messages: [user(content)] })
    expect(events(reply.body)[0]).toMatchObject([
      'message_start',
      { message: { usage: { input_tokens: 101 + 768, output_tokens: 0 } } },
    ])
  })
})

describe('a silent stream', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('pings every ten seconds that nothing else is sent', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const gate = Promise.withResolvers<void>()
    const silent = Promise.withResolvers<void>()
    const { post } = testApi({
      script: async function* () {
        yield { type: 'token', text: 'a' }
        silent.resolve()
        await gate.promise
        yield done()
      },
    })
    const reply = post('/v1/messages', streamed)
    await silent.promise
    vi.advanceTimersByTime(25_000)
    gate.resolve()
    const names = events((await reply).body).map(([name]) => name)
    expect(names.filter((name) => name === 'ping')).toHaveLength(2)
    expect(names.at(-1)).toBe('message_stop')
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a whole message', () => {
  it("has thinking, text and calls as blocks, in Anthropic's order of members", async () => {
    const { whole } = await answerOf(
      { type: 'thinking', text: 'hm' },
      { type: 'token', text: 'Hi' },
      call('f', { b: 1, a: [] }),
      done(),
    )
    expect(whole.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(normal(whole.body)).toBe(
      '{"id":"msg_N","type":"message","role":"assistant","model":"tiny","content":[' +
        '{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"Hi"},' +
        '{"type":"tool_use","id":"call_1","name":"f","input":{"b":1,"a":[]}}],' +
        '"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":3}}',
    )
  })

  it.each([
    ['end_turn', null, done()],
    ['max_tokens', null, done({ reason: 'length' })],
    ['stop_sequence', 'END', done({ stopSequence: 'END' })],
    ['end_turn', null, done({ stopSequence: '<|im_end|>' })],
  ])('says %s (%s) for how it ended', async (reason, sequence, end) => {
    const { post } = testApi({ script: replay({ type: 'token', text: 'Hi' }, end) })
    const whole = await post('/v1/messages', { ...ask, stop_sequences: ['END'] })
    expect(JSON.parse(whole.body)).toMatchObject({ stop_reason: reason, stop_sequence: sequence })
    const stream = await post('/v1/messages', { ...streamed, stop_sequences: ['END'] })
    expect(events(stream.body).at(-2)).toMatchObject([
      'message_delta',
      { delta: { stop_reason: reason, stop_sequence: sequence } },
    ])
  })
})

describe('the web search that a server is to run', () => {
  const searching = { ...ask, tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 3 }] }
  const script = replay({ type: 'token', text: 'Let me look.' }, call('web_search', { query: 'x' }), done())

  it('fails when it is called, which the answer says in its own place', async () => {
    const { post } = testApi({ script })
    const failed = { type: 'web_search_tool_result_error', error_code: 'unavailable' }
    const whole = JSON.parse(normal((await post('/v1/messages', searching)).body))
    expect(whole).toMatchObject({
      content: [
        { type: 'text', text: 'Let me look.' },
        { type: 'server_tool_use', id: 'srvtoolu_N_1', name: 'web_search', input: { query: 'x' } },
        { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_N_1', content: failed },
      ],
      stop_reason: 'end_turn',
    })
    const stream = await post('/v1/messages', { ...searching, stream: true })
    const blocks = events(stream.body).filter(([name]) => name === 'content_block_start')
    expect(blocks.slice(1).map(([, data]) => data)).toMatchObject([
      { index: 1, content_block: { type: 'server_tool_use', id: 'srvtoolu_N_1' } },
      { index: 2, content_block: { tool_use_id: 'srvtoolu_N_1', content: failed } },
    ])
  })
})

describe('refusals', () => {
  const refusal = async (url: string, body: unknown, script = replay(done())) => {
    const reply = await testApi({ script }).post(url, body)
    const { type, error, request_id: requestId } = JSON.parse(reply.body)
    expect([type, requestId]).toEqual(['error', reply.headers['request-id']])
    return [reply.statusCode, error.type, error.message]
  }
  const bad = 'invalid_request_error'

  it.each([
    ['', 'missing request body'],
    ['{', 'unexpected EOF'],
    ['[]', 'json: cannot unmarshal array into Go value of type anthropic.MessagesRequest'],
    [
      { ...ask, max_tokens: '1' },
      'json: cannot unmarshal string into Go struct field MessagesRequest.max_tokens of type int',
    ],
    [{ ...ask, model: '' }, 'model is required'],
    [{ ...ask, max_tokens: 0 }, 'max_tokens is required and must be positive'],
    [{ ...ask, messages: [] }, 'messages is required'],
    [{ ...ask, messages: [user('')] }, 'messages: at least one message must have content'],
    [{ ...ask, messages: [{ role: 'user' }] }, 'messages.0.content: Field required'],
    [{ ...ask, messages: [user([{ type: 'image' }])] }, 'invalid image source'],
    [
      {
        ...ask,
        messages: [user([{ type: 'image', source: { type: 'url', url: 'https://x.example/a.png' } }])],
      },
      'invalid image source type: url. Only base64 images are supported.',
    ],
    [
      { ...ask, messages: [user([{ type: 'image', source: { type: 'base64', data: 'ab!d' } }])] },
      'invalid base64 image data: illegal base64 data at input byte 2',
    ],
    [
      { ...ask, messages: [user([{ type: 'tool_result', content: [{ type: 'image' }] }])] },
      'invalid tool_result image source',
    ],
    [
      { ...ask, messages: [user([{ type: 'document', source: { type: 'base64', data: 'JVBERg==' } }])] },
      'invalid document source type: base64. Only documents of type text and content are supported; send the text of the document.',
    ],
    [
      { ...ask, messages: [{ role: 'assistant', content: [{ type: 'tool_use', name: 'f' }] }] },
      "tool_use block missing required 'id' field",
    ],
    [
      { ...ask, messages: [{ role: 'assistant', content: [{ type: 'tool_use', id: 'f' }] }] },
      "tool_use block missing required 'name' field",
    ],
    [
      { ...ask, tools: [{ name: 'f', input_schema: { required: 'a' } }] },
      'invalid input_schema for tool "f": json: cannot unmarshal string into Go struct field ToolFunctionParameters.required of type []string',
    ],
    [
      { ...ask, tool_choice: { type: 'tool', name: 'f' } },
      'tool_choice: tool "f" is not among the tools of this request',
    ],
    [
      { ...ask, output_config: { format: { type: 'json_schema', schema: 'x' } } },
      'output_config.format.schema: must be a JSON Schema object',
    ],
    [{ ...ask, model: 'x y' }, 'invalid model name'],
  ])('%j', async (body, message) => {
    expect(await refusal('/v1/messages', body)).toEqual([400, bad, message])
  })

  it('an unknown model', async () => {
    const unknown = { ...ask, model: 'nope' }
    const expected = [404, 'not_found_error', "model 'nope' not found"]
    expect(await refusal('/v1/messages', unknown)).toEqual(expected)
    expect(await refusal('/v1/messages/count_tokens', unknown)).toEqual(expected)
  })

  it.each([
    ['busy', 503, 'overloaded_error'],
    ['forbidden', 403, 'permission_error'],
    ['body_too_large', 413, 'request_too_large'],
    ['load_failed', 500, 'api_error'],
  ] as const)('%s as %i %s', async (code, status, type) => {
    const script = replay(new DroverError(code, 'no'))
    expect(await refusal('/v1/messages', streamed, script)).toEqual([status, type, 'no'])
  })
})

describe('counting tokens', () => {
  it('asks for the prompt that the same message would have', async () => {
    const { post, asked } = testApi()
    const { max_tokens: _, ...body } = ask
    const prompt = { ...body, system: 'Be brief.', tools: [{ name: 'f' }] }
    const reply = await post('/v1/messages/count_tokens', prompt)
    expect([reply.statusCode, reply.body]).toEqual([200, '{"input_tokens":42}'])
    await post('/v1/messages', { ...prompt, max_tokens: 1 })
    expect({ ...asked[0], options: { num_predict: 1 } }).toEqual(asked[1])
  })

  it('needs a model and messages', async () => {
    const { post } = testApi()
    const without = async (body: unknown) =>
      JSON.parse((await post('/v1/messages/count_tokens', body)).body).error.message
    expect(await without({ messages: ask.messages })).toBe('model is required')
    expect(await without({ model: 'tiny' })).toBe('messages is required')
  })
})
