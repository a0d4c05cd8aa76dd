import { zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import { done, replay, stored, testApi } from '../testing/double.ts'

const ask = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }] }

/** The pieces of a stream, with id and time replaced. */
function pieces(body: string): string[] {
  return body
    .split('\n\n')
    .filter(Boolean)
    .map((piece) => normal(piece.replace(/^data: /, '')))
}

const normal = (json: string) =>
  json.replace(/"id":"(chatcmpl|cmpl)-\d{1,3}"/, '"id":"$1-N"').replace(/"created":\d{10}/, '"created":0')

describe('chat completions', () => {
  const head =
    '{"id":"chatcmpl-N","object":"chat.completion.chunk","created":0,"model":"tiny","system_fingerprint":"fp_ollama"'
  const chunk = (delta: string, reason = 'null', rest = '') =>
    `${head},"choices":[{"index":0,"delta":${delta},"finish_reason":${reason}${rest}}]}`

  it('streams role, text, reasoning, tool calls, the end and the usage in pieces of their own', async () => {
    const call = { id: 'call_1', function: { index: 0, name: 'f', arguments: { z: '<', a: 1 } } }
    const script = replay(
      { type: 'thinking', text: 'hm' },
      { type: 'token', text: 'Hi' },
      { type: 'token', text: '!', logprobs: [{ token: '!', logprob: -1, bytes: [33], top_logprobs: [] }] },
      { type: 'toolCall', call },
      done(),
    )
    const { post } = testApi({ script })
    const reply = await post('/v1/chat/completions', {
      ...ask,
      stream: true,
      stream_options: { include_usage: true },
    })
    expect(reply.headers['content-type']).toBe('text/event-stream')
    expect(pieces(reply.body)).toEqual([
      chunk('{"role":"assistant","content":"","reasoning":"hm"}'),
      chunk('{"content":"Hi"}'),
      chunk('{"content":"!"}', 'null', ',"logprobs":{"content":[{"token":"!","logprob":-1,"bytes":[33]}]}'),
      chunk(
        '{"content":"","tool_calls":[{"id":"call_1","index":0,"type":"function","function":{"name":"f",' +
          '"arguments":"{\\"z\\":\\"\\\\u003c\\",\\"a\\":1}"}}]}',
      ),
      chunk('{}', '"tool_calls"'),
      `${head},"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}`,
      '[DONE]',
    ])
  })

  it('answers whole when not streaming, which is the default', async () => {
    const script = replay(
      { type: 'thinking', text: 'hm' },
      { type: 'token', text: 'Hi' },
      done({ reason: 'length' }),
    )
    const { post } = testApi({ script })
    const reply = await post('/v1/chat/completions', ask)
    expect(normal(reply.body)).toBe(
      '{"id":"chatcmpl-N","object":"chat.completion","created":0,"model":"tiny","system_fingerprint":"fp_ollama",' +
        '"choices":[{"index":0,"message":{"role":"assistant","content":"Hi","reasoning":"hm"},' +
        '"finish_reason":"length"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}',
    )
  })

  it('maps every field, and sets temperature and top_p to 1 where they are absent', async () => {
    const { post, asked } = testApi()
    const image = `data:image/png;base64,${Buffer.from('png').toString('base64')}`
    await post('/v1/chat/completions', {
      model: 'tiny',
      messages: [
        { role: 'System', content: 's' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'look' },
            { type: 'image_url', image_url: { url: image } },
            { type: 'image_url', image_url: image },
          ],
        },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{"b":1,"a":2}' } }],
        },
        { role: 'tool', content: '42', tool_call_id: 'c1' },
      ],
      max_tokens: 5,
      max_completion_tokens: 9,
      seed: 3,
      stop: ['a', 1, 'b'],
      frequency_penalty: 0.5,
      presence_penalty: 0.25,
      response_format: { type: 'json_schema', json_schema: { schema: { type: 'object' } } },
      reasoning_effort: 'minimal',
      logprobs: true,
      top_logprobs: 2,
    })
    expect(asked[0]).toEqual({
      kind: 'chat',
      model: 'tiny',
      messages: [
        { role: 'system', content: 's' },
        { role: 'user', content: 'look' },
        { role: 'user', content: '', images: [Buffer.from('png')] },
        { role: 'user', content: '', images: [Buffer.from('png')] },
        {
          role: 'assistant',
          content: '',
          tool_calls: [{ id: 'c1', function: { index: 0, name: 'f', arguments: { b: 1, a: 2 } } }],
        },
        { role: 'tool', content: '42', tool_name: 'f', tool_call_id: 'c1' },
      ],
      options: {
        temperature: 1,
        top_p: 1,
        num_predict: 5,
        seed: 3,
        stop: ['a', 'b'],
        frequency_penalty: 0.5,
        presence_penalty: 0.25,
      },
      format: { type: 'object' },
      think: 'low',
      logprobs: true,
      topLogprobs: 2,
    })
  })

  it.each([
    ['none', false],
    ['minimal', 'low'],
    ['low', 'low'],
    ['medium', 'medium'],
    ['high', 'high'],
    ['max', 'max'],
    ['xhigh', 'max'],
    ['ultra', 'max'],
  ])('reasoning effort %s thinks %s', async (effort, think) => {
    const { post, asked } = testApi()
    await post('/v1/chat/completions', { ...ask, reasoning: { effort } })
    expect(asked[0]).toMatchObject({ think })
  })

  it('ends a broken stream with an error event and without [DONE]', async () => {
    const script = replay({ type: 'token', text: 'a' }, new DroverError('engine_crashed', 'the engine died'))
    const { post } = testApi({ script })
    const reply = await post('/v1/chat/completions', { ...ask, stream: true })
    expect(pieces(reply.body).at(-1)).toBe(
      '{"error":{"message":"the engine died","type":"api_error","param":null,"code":null}}',
    )
  })

  it.each([
    [{ model: 'tiny', messages: [] }, 400, "[] is too short - 'messages'"],
    [{ model: 'tiny' }, 400, "[] is too short - 'messages'"],
    [{ ...ask, model: '' }, 400, 'model is required'],
    [{ ...ask, model: 'Nope' }, 404, "model 'Nope' not found"],
    [{ ...ask, messages: [{ role: 'user' }] }, 400, 'invalid message content type: <nil>'],
    [{ ...ask, messages: [{ role: 'user', content: 1 }] }, 400, 'invalid message content type: float64'],
    [{ ...ask, messages: [{ role: 'user', content: ['x'] }] }, 400, 'invalid message format'],
    [{ ...ask, messages: [{ role: 'user', content: [{ type: 'video' }] }] }, 400, 'invalid message format'],
    [
      {
        ...ask,
        messages: [{ role: 'user', content: [{ type: 'image_url', image_url: 'https://x/y.png' }] }],
      },
      400,
      'image URLs are not currently supported, please use base64 encoded data instead',
    ],
    [
      {
        ...ask,
        messages: [{ role: 'user', content: [{ type: 'image_url', image_url: 'data:image/gif;base64,AA' }] }],
      },
      400,
      'invalid image input',
    ],
    [
      { ...ask, messages: [{ role: 'user', content: [{ type: 'input_audio' }] }] },
      400,
      'invalid input_audio format',
    ],
    [
      { ...ask, messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: {} }] }] },
      400,
      'invalid input_audio format: missing data',
    ],
    [
      {
        ...ask,
        messages: [{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '[' } }] }],
      },
      400,
      'invalid tool call arguments',
    ],
    [
      { ...ask, reasoning_effort: 'x' },
      400,
      'invalid reasoning value: "x" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none")',
    ],
    [
      { ...ask, response_format: { type: 'json_schema', json_schema: { schema: 3 } } },
      500,
      'invalid format: "3"; expected "json" or a valid JSON Schema object',
    ],
    ['[]', 400, 'json: cannot unmarshal array into Go value of type openai.ChatCompletionRequest'],
    ['', 400, 'missing request body'],
  ])('refuses %j', async (body, status, message) => {
    const { post } = testApi()
    const reply = await post('/v1/chat/completions', body)
    const type = { 400: 'invalid_request_error', 404: 'not_found_error', 500: 'api_error' }[status]
    expect(reply.statusCode).toBe(status)
    expect(reply.body.replaceAll('\\u003c', '<').replaceAll('\\u003e', '>')).toBe(
      JSON.stringify({ error: { message, type, param: null, code: null } }),
    )
  })
})

describe('completions', () => {
  it('streams a usage of zero with every piece and the totals at the end', async () => {
    const { post, asked } = testApi()
    const reply = await post('/v1/completions', {
      model: 'tiny',
      prompt: 'p',
      suffix: 's',
      stream: true,
      stream_options: { include_usage: true },
    })
    const head = '{"id":"cmpl-N","object":"text_completion","created":0,"choices":['
    const zero = '"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}'
    const names = '"model":"tiny","system_fingerprint":"fp_ollama"'
    expect(pieces(reply.body)).toEqual([
      `${head}{"text":"Hi","index":0,"finish_reason":null}],${names},${zero}`,
      `${head}{"text":"","index":0,"finish_reason":"stop"}],${names},${zero}`,
      `${head}],${names},"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}`,
      '[DONE]',
    ])
    expect(asked[0]).toEqual({
      kind: 'generate',
      model: 'tiny',
      prompt: 'p',
      suffix: 's',
      options: { temperature: 1, top_p: 1, frequency_penalty: 0, presence_penalty: 0 },
    })
  })

  it('answers whole when not streaming', async () => {
    const { post } = testApi()
    const reply = await post('/v1/completions', { model: 'tiny', prompt: 'p' })
    expect(normal(reply.body)).toBe(
      '{"id":"cmpl-N","object":"text_completion","created":0,"model":"tiny","system_fingerprint":"fp_ollama",' +
        '"choices":[{"text":"Hi","index":0,"finish_reason":"stop"}],' +
        '"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}',
    )
  })

  it.each([
    [
      { model: 'tiny', prompt: ['a'] },
      400,
      'json: cannot unmarshal array into Go struct field CompletionRequest.prompt of type string',
    ],
    [{ model: 'tiny', prompt: 'a', stop: [1] }, 400, "invalid type for 'stop' field: float64"],
    [{ prompt: 'a' }, 404, "model '' not found"],
  ])('refuses %j', async (body, status, message) => {
    const { post } = testApi()
    const reply = await post('/v1/completions', body)
    expect([reply.statusCode, JSON.parse(reply.body).error.message]).toEqual([status, message])
  })

  it('takes a body in zstd, and refuses what unpacks to more than 20 MiB', async () => {
    const { post } = testApi()
    const body = Buffer.from(JSON.stringify({ model: 'tiny', prompt: 'p' }))
    const zstd = { 'content-encoding': 'zstd' }
    expect((await post('/v1/completions', zstdCompressSync(body), zstd)).statusCode).toBe(200)
    const bomb = zstdCompressSync(Buffer.alloc(21 * 1024 * 1024, ' '))
    const refused = await post('/v1/completions', bomb, zstd)
    expect([refused.statusCode, JSON.parse(refused.body).error.message]).toEqual([
      400,
      'http: request body too large',
    ])
    const broken = await post('/v1/completions', Buffer.from('not zstd'), zstd)
    expect(broken.statusCode).toBe(400)
  })
})

describe('embeddings', () => {
  it('gives floats of the fewest digits, or base64', async () => {
    const { post } = testApi()
    const floats = await post('/v1/embeddings', { model: 'tiny', input: 'a' })
    expect(floats.body).toBe(
      '{"object":"list","data":[{"object":"embedding","embedding":[0.1,-0.25,1e-9],"index":0}],' +
        '"model":"tiny","usage":{"prompt_tokens":4,"total_tokens":4}}',
    )
    const packed = await post('/v1/embeddings', {
      model: 'tiny',
      input: ['a', 'b'],
      encoding_format: 'BASE64',
    })
    const { data } = JSON.parse(packed.body)
    const bytes = Buffer.from(data[1].embedding, 'base64')
    expect([bytes.readFloatLE(0), bytes.readFloatLE(4)]).toEqual([Math.fround(0.1), -0.25])
  })

  it('embeds an empty text as one text', async () => {
    const { post, embedded } = testApi()
    await post('/v1/embeddings', { model: 'tiny', input: '', dimensions: 2 })
    expect(embedded[0]).toEqual({ model: 'tiny', inputs: [''], options: {}, dimensions: 2 })
  })

  it.each([
    [{ model: 'tiny' }, 400, 'invalid input'],
    [{ model: 'tiny', input: [] }, 400, 'invalid input'],
    [{ model: 'tiny', input: [1] }, 400, 'invalid input type'],
    [
      { model: 'tiny', input: 'a', encoding_format: 'int8' },
      400,
      "Invalid value for 'encoding_format' = int8. Supported values: ['float', 'base64'].",
    ],
    [{ model: 'Nope', input: 'a' }, 404, 'model "Nope" not found, try pulling it first'],
  ])('refuses %j', async (body, status, message) => {
    const { post } = testApi()
    const reply = await post('/v1/embeddings', body)
    expect([reply.statusCode, JSON.parse(reply.body).error.message]).toEqual([status, message])
  })
})

describe('models', () => {
  const created = Math.floor(stored.modifiedAtMs / 1000)

  it('lists the store', async () => {
    const { app } = testApi()
    expect((await app.inject('/v1/models')).body).toBe(
      `{"object":"list","data":[{"id":"tiny:latest","object":"model","created":${created},"owned_by":"library"}]}`,
    )
    const empty = testApi({ store: { list: async () => [] } })
    expect((await empty.app.inject('/v1/models')).body).toBe('{"object":"list","data":null}')
  })

  it('shows one, by one segment of the path', async () => {
    const { app } = testApi()
    expect((await app.inject('/v1/models/tiny')).body).toBe(
      `{"id":"tiny","object":"model","created":${created},"owned_by":"library"}`,
    )
    const unknown = await app.inject('/v1/models/Nope')
    expect([unknown.statusCode, JSON.parse(unknown.body).error.message]).toEqual([
      404,
      "model 'Nope:latest' not found",
    ])
    const nested = await app.inject('/v1/models/me%2Ftiny')
    expect([nested.statusCode, nested.body]).toEqual([404, '404 page not found'])
  })
})

describe('what asks for nothing', () => {
  it('leaves the model its own stops', async () => {
    const { post, asked } = testApi()
    await post('/v1/chat/completions', {
      model: 'tiny',
      messages: [{ role: 'user', content: 'x' }],
      stop: [],
    })
    await post('/v1/completions', { model: 'tiny', prompt: 'x', stop: [], logprobs: -1 })
    for (const { options } of asked) expect(options).not.toHaveProperty('stop')
    expect(asked[1]).not.toHaveProperty('logprobs')
  })
})
