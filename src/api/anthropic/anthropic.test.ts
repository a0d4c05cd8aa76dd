import { zstdCompressSync } from 'node:zlib'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { DroverError, type InferenceEvent } from '../../inference/index.ts'
import { description, done, replay, testApi } from '../testing/double.ts'

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

const pixels = Buffer.from('not really a picture')
const image = {
  type: 'image',
  source: { type: 'base64', media_type: 'image/png', data: pixels.toString('base64') },
}

/** What the router was asked, for a request that is not refused. */
async function decoded(body: Record<string, unknown>) {
  const { post, asked } = testApi()
  const reply = await post('/v1/messages', { ...ask, ...body })
  expect([reply.statusCode, reply.body]).toEqual([200, expect.any(String)])
  const [request] = asked
  if (request?.kind !== 'chat') throw new Error('the router was not asked to chat')
  return request
}

describe('the conversation', () => {
  it('takes texts and blocks, the system as either', async () => {
    const messages = [
      user([{ type: 'text', text: 'What is' }, { type: 'text', text: ' this?' }, image]),
      { role: 'Assistant', content: 'A picture.' },
      { role: 'user', content: '' },
    ]
    const system = [
      { type: 'text', text: 'Be ', cache_control: { type: 'ephemeral' } },
      { type: 'text', text: 'brief.' },
    ]
    expect(await decoded({ system, messages })).toEqual({
      kind: 'chat',
      model: 'tiny',
      options: { num_predict: 16 },
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'What is this?', images: [pixels] },
        { role: 'assistant', content: 'A picture.' },
      ],
    })
    const { messages: plain } = await decoded({ system: 'Be kind.' })
    expect(plain[0]).toEqual({ role: 'system', content: 'Be kind.' })
  })

  it('puts results of tools before the words that came with them, and names their tools', async () => {
    const { messages } = await decoded({
      messages: [
        user('weather?'),
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'I will ', signature: 'x' },
            { type: 'redacted_thinking', data: 'xx' },
            { type: 'thinking', thinking: 'look.' },
            { type: 'text', text: 'Looking.' },
            { type: 'tool_use', id: 'a', name: 'weather', input: { z: 1, city: 'Rome' } },
            { type: 'tool_use', id: 'b', name: 'photo', input: {} },
          ],
        },
        user([
          { type: 'text', text: 'Well?' },
          { type: 'tool_result', tool_use_id: 'a', content: 'no network', is_error: true },
          { type: 'tool_result', tool_use_id: 'b', content: [{ type: 'text', text: 'seen' }, image] },
          { type: 'tool_result', tool_use_id: 'c', is_error: true },
          { type: 'tool_result', tool_use_id: 'd', content: 'Error: ENOENT', is_error: true },
        ]),
      ],
    })
    expect(messages).toEqual([
      { role: 'user', content: 'weather?' },
      {
        role: 'assistant',
        content: 'Looking.',
        thinking: 'I will look.',
        tool_calls: [
          { id: 'a', function: { index: 0, name: 'weather', arguments: { z: 1, city: 'Rome' } } },
          { id: 'b', function: { index: 1, name: 'photo', arguments: {} } },
        ],
      },
      { role: 'tool', content: 'Error: no network', tool_name: 'weather', tool_call_id: 'a' },
      {
        role: 'tool',
        content: 'seen',
        images: [pixels],
        tool_name: 'photo',
        tool_call_id: 'b',
      },
      { role: 'tool', content: 'Error', tool_call_id: 'c' },
      { role: 'tool', content: 'Error: ENOENT', tool_call_id: 'd' },
      { role: 'user', content: 'Well?' },
    ])
  })

  it('reads documents and search results that are text', async () => {
    const { messages } = await decoded({
      messages: [
        user([
          {
            type: 'document',
            title: 'Rules',
            source: { type: 'text', media_type: 'text/plain', data: 'No.' },
          },
          { type: 'document', source: { type: 'content', content: [{ type: 'text', text: 'Yes.' }] } },
          { type: 'search_result', title: 'T', source: 'u', content: [{ type: 'text', text: 'found' }] },
          { type: 'text', text: 'Which?' },
        ]),
      ],
    })
    expect(messages).toEqual([{ role: 'user', content: 'Rules\nNo.\n\nYes.\n\nT\nfound\n\nWhich?' }])
  })

  it('reads earlier web searches', async () => {
    const found = { type: 'web_search_result', title: 'Drover', url: 'https://drover.example' }
    const { messages } = await decoded({
      messages: [
        user('search'),
        {
          role: 'assistant',
          content: [
            { type: 'server_tool_use', id: 's', name: 'web_search', input: { query: 'drover' } },
            { type: 'web_search_tool_result', tool_use_id: 's', content: [found] },
            {
              type: 'web_search_tool_result',
              tool_use_id: 's',
              content: { type: 'web_search_tool_result_error', error_code: 'unavailable' },
            },
          ],
        },
        user('and?'),
      ],
    })
    expect(messages.slice(1, 4)).toMatchObject([
      {
        role: 'assistant',
        tool_calls: [{ function: { name: 'web_search', arguments: { query: 'drover' } } }],
      },
      { role: 'tool', content: '- Drover: https://drover.example\n', tool_name: 'web_search' },
      { role: 'tool', content: 'web_search_tool_result_error: unavailable' },
    ])
  })
})

describe('what else a request asks for', () => {
  const weather = {
    name: 'weather',
    description: 'The weather',
    input_schema: { type: 'object', required: ['city'], properties: { city: { type: 'string' } } },
  }
  const tool = {
    type: 'function',
    function: { name: 'weather', description: 'The weather', parameters: weather.input_schema },
  }

  it('sampling, leaving to the model what is absent', async () => {
    const body = {
      temperature: 0,
      top_p: 0.5,
      top_k: 7,
      stop_sequences: ['a', 'b'],
      metadata: { user_id: 'u' },
    }
    expect((await decoded(body)).options).toEqual({
      num_predict: 16,
      temperature: 0,
      top_p: 0.5,
      top_k: 7,
      stop: ['a', 'b'],
    })
  })

  it.each([
    [undefined, [tool, { function: { name: 'clock' } }]],
    [{ type: 'auto' }, [tool, { function: { name: 'clock' } }]],
    [{ type: 'any' }, [tool, { function: { name: 'clock' } }]],
    [{ type: 'tool', name: 'weather' }, [tool]],
    [{ type: 'none' }, undefined],
  ])('tools, narrowed by the choice %j', async (choice, expected) => {
    const tools = [weather, { type: 'custom', name: 'clock' }]
    const request = await decoded({ tools, ...(choice && { tool_choice: choice }) })
    if (expected) expect(request.tools).toMatchObject(expected)
    expect(request.tools?.length).toBe(expected?.length)
  })

  it.each([
    [{}, undefined],
    [{ thinking: { type: 'enabled', budget_tokens: 2048 } }, true],
    [{ thinking: { type: 'disabled' }, output_config: { effort: 'high' } }, false],
    [{ thinking: { type: 'adaptive' } }, undefined],
    [{ thinking: { type: 'adaptive' }, output_config: { effort: 'max' } }, 'max'],
    [{ thinking: { type: 'enabled' }, output_config: { effort: ' XHigh ' } }, 'high'],
    [{ output_config: { effort: 'low' } }, 'low'],
    [{ output_config: { effort: 'huge' } }, undefined],
  ])('thinking: %j', async (body, think) => {
    const { post, asked } = testApi({
      store: { describe: async () => ({ ...description, capabilities: ['completion', 'thinking'] }) },
    })
    expect((await post('/v1/messages', { ...ask, ...body })).statusCode).toBe(200)
    expect(asked[0]?.think).toBe(think)
  })

  it('thinking of a model that cannot, which then answers without', async () => {
    expect(await decoded({ thinking: { type: 'enabled', budget_tokens: 2048 } })).not.toHaveProperty('think')
  })

  it('an answer by a schema', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } } }
    expect((await decoded({ output_config: { format: { type: 'json_schema', schema } } })).format).toEqual(
      schema,
    )
  })

  it('a body packed with zstd', async () => {
    const { post, asked } = testApi()
    const reply = await post('/v1/messages', zstdCompressSync(JSON.stringify(ask)), {
      'content-encoding': 'zstd',
    })
    expect([reply.statusCode, asked.length]).toEqual([200, 1])
  })
})

describe('the web search that a server is to run', () => {
  const searching = { ...ask, tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 3 }] }
  const script = replay({ type: 'token', text: 'Let me look.' }, call('web_search', { query: 'x' }), done())

  it('is offered to the model in place of a tool of the same name', async () => {
    const own = { name: 'web_search', input_schema: { type: 'object' } }
    const { tools } = await decoded({ tools: [own, ...searching.tools] })
    expect(tools).toMatchObject([{ function: { name: 'web_search', parameters: { required: ['query'] } } }])
  })

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
