import { embedder, talker } from '../models.ts'
import { aFullText, aNumber, anArray, aPositiveNumber, asks, aText, expectFit, type Row } from '../row.ts'

/** Sections 2.8 and 2.9: OpenAI's and Anthropic's API. */

const messages = [{ role: 'user', content: 'What is the capital of France?' }]
const isAbsent = (value: unknown) => value === undefined
const usage = {
  prompt_tokens: aPositiveNumber,
  completion_tokens: aPositiveNumber,
  total_tokens: aPositiveNumber,
}
const head = {
  id: /^chatcmpl-\d+$/,
  object: 'chat.completion',
  created: aPositiveNumber,
  model: talker,
  system_fingerprint: 'fp_ollama',
}
const quiet = { temperature: 0, reasoning_effort: 'none' }
const tools = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'Get the current weather of a city',
      parameters: {
        type: 'object',
        required: ['city'],
        properties: { city: { type: 'string', description: 'The name of the city' } },
      },
    },
  },
]
const weather = [{ role: 'user', content: 'What is the weather in Paris?' }]

const chat = (id: string, body: object, ...expected: Parameters<typeof asks>[2][]) =>
  asks(
    `2.8 chat: ${id}`,
    { path: '/v1/chat/completions', body: { model: talker, messages, ...quiet, ...body } },
    ...expected,
  )
const completion = (id: string, body: object, ...expected: Parameters<typeof asks>[2][]) =>
  asks(
    `2.8 completions: ${id}`,
    {
      path: '/v1/completions',
      body: { model: talker, prompt: 'Hello', max_tokens: 4, temperature: 0, ...body },
    },
    ...expected,
  )
const response = (id: string, body: object, ...expected: Parameters<typeof asks>[2][]) =>
  asks(
    `2.8 responses: ${id}`,
    {
      path: '/v1/responses',
      body: { model: talker, input: 'What is the capital of France?', temperature: 0, ...body },
    },
    ...expected,
  )
const anthropic = (id: string, body: object, ...expected: Parameters<typeof asks>[2][]) =>
  asks(
    `2.9 messages: ${id}`,
    {
      path: '/v1/messages',
      body: {
        model: talker,
        max_tokens: 60,
        messages,
        temperature: 0,
        thinking: { type: 'disabled' },
        ...body,
      },
    },
    ...expected,
  )

const text = (lines: Record<string, unknown>[]) => JSON.stringify(lines)

export const dialects: Row[] = [
  chat(
    'a whole answer',
    {},
    {
      status: 200,
      type: 'application/json; charset=utf-8',
      json: {
        ...head,
        choices: [{ index: 0, message: { role: 'assistant', content: /Paris/ }, finish_reason: 'stop' }],
        usage,
      },
    },
  ),
  chat(
    'stops at max_tokens',
    { max_tokens: 2 },
    { status: 200, json: { choices: [{ finish_reason: 'length' }], usage: { completion_tokens: 2 } } },
  ),
  chat(
    'stops at a text',
    { stop: ['Par'] },
    {
      status: 200,
      json: {
        choices: [
          { message: { content: (value: unknown) => !String(value).includes('Par') }, finish_reason: 'stop' },
        ],
      },
    },
  ),
  chat(
    'an empty list of stops is none',
    { stop: [] },
    {
      status: 200,
      json: {
        choices: [
          {
            message: {
              content: (value: unknown) =>
                String(value).includes('Paris') && !String(value).includes('<|im_'),
            },
            finish_reason: 'stop',
          },
        ],
      },
    },
  ),
  chat(
    'a stream',
    { stream: true },
    {
      status: 200,
      type: /^text\/event-stream/,
      text: /data: \[DONE\]\n\n$/,
      lines: (lines) => {
        expectFit(
          {
            object: 'chat.completion.chunk',
            choices: [{ index: 0, delta: { role: 'assistant', content: aText } }],
          },
          lines[0],
          'first piece',
        )
        expectFit({ choices: [{ delta: { role: isAbsent }, finish_reason: null }] }, lines[1], 'second piece')
        expectFit(
          { choices: [{ delta: {}, finish_reason: 'stop' }], usage: isAbsent },
          lines.at(-1),
          'last piece',
        )
        expectFit(1, new Set(lines.map(({ id }) => id)).size, 'ids')
      },
    },
  ),
  chat(
    'a stream with usage',
    { stream: true, stream_options: { include_usage: true } },
    { status: 200, lines: (lines) => expectFit({ choices: [], usage }, lines.at(-1), 'last piece') },
  ),
  chat(
    'a call, its arguments as text',
    { messages: weather, tools },
    {
      status: 200,
      json: {
        choices: [
          {
            message: {
              tool_calls: [
                {
                  id: /^call_/,
                  type: 'function',
                  function: { name: 'get_weather', arguments: /^\{"city":\s?"Paris"\}$/ },
                },
              ],
            },
            finish_reason: 'tool_calls',
          },
        ],
      },
    },
  ),
  chat(
    'a call in a stream',
    { messages: weather, tools, stream: true },
    {
      status: 200,
      lines: (lines) => {
        expectFit(/"tool_calls":\[\{"id":"call_/, text(lines), 'pieces')
        expectFit({ choices: [{ finish_reason: 'tool_calls' }] }, lines.at(-1), 'last piece')
      },
    },
  ),
  chat(
    'a call and its reply',
    {
      tools,
      messages: [
        ...weather,
        {
          role: 'assistant',
          content: null,
          tool_calls: [
            {
              id: 'call_1',
              type: 'function',
              function: { name: 'get_weather', arguments: '{"city":"Paris"}' },
            },
          ],
        },
        { role: 'tool', tool_call_id: 'call_1', content: 'sunny' },
      ],
    },
    { status: 200, json: { choices: [{ message: { role: 'assistant' } }] } },
  ),
  chat(
    'bad arguments of a call',
    {
      messages: [
        {
          role: 'assistant',
          content: '',
          tool_calls: [{ id: 'c', function: { name: 'f', arguments: '[' } }],
        },
      ],
    },
    { status: 400, json: { error: { message: 'invalid tool call arguments' } } },
  ),
  chat(
    'parts of a content',
    { messages: [{ role: 'user', content: [{ type: 'text', text: 'What is the capital of France?' }] }] },
    { status: 200, json: { choices: [{ message: { content: aFullText } }] } },
  ),
  chat(
    'thinking',
    { reasoning_effort: 'high' },
    { status: 200, json: { choices: [{ message: { reasoning: aFullText, content: aFullText } }] } },
  ),
  chat(
    'JSON',
    {
      response_format: { type: 'json_object' },
      max_tokens: 100,
      messages: [{ role: 'user', content: 'What is the capital of Japan? Answer in JSON.' }],
    },
    { status: 200, json: { choices: [{ message: { content: /^\s*\{/ } }] } },
  ),
  chat(
    'a schema',
    {
      max_tokens: 60,
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'x',
          schema: { type: 'object', properties: { capital: { type: 'string' } }, required: ['capital'] },
        },
      },
    },
    { status: 200, json: { choices: [{ message: { content: /^\s*\{\s*"capital"/ } }] } },
  ),
  chat(
    'probabilities',
    { logprobs: true, top_logprobs: 2, max_tokens: 1 },
    {
      status: 200,
      json: {
        choices: [
          {
            logprobs: {
              content: [
                { token: aText, logprob: aNumber, top_logprobs: [{ token: aText }, { token: aText }] },
              ],
            },
          },
        ],
      },
    },
  ),
  chat(
    'fields that mean nothing here',
    { n: 3, user: 'x', logit_bias: { 1: 2 }, parallel_tool_calls: false, max_completion_tokens: 1 },
    { status: 200 },
  ),
  chat(
    'no content',
    { messages: [{ role: 'user' }] },
    { status: 400, json: { error: { message: 'invalid message content type: <nil>' } } },
  ),
  chat(
    'a bad image',
    {
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:text/plain,x' } }] }],
    },
    { status: 400, json: { error: { message: 'invalid image input' } } },
  ),

  completion(
    'a whole answer',
    {},
    {
      status: 200,
      json: {
        id: /^cmpl-\d+$/,
        object: 'text_completion',
        choices: [{ text: aText, index: 0, finish_reason: /^(stop|length)$/ }],
        usage,
      },
    },
  ),
  completion(
    'a stream',
    { stream: true },
    {
      status: 200,
      text: /data: \[DONE\]\n\n$/,
      lines: (lines) =>
        expectFit(
          { object: 'text_completion', choices: [{ text: aText, index: 0 }] },
          lines[0],
          'first piece',
        ),
    },
  ),
  completion(
    'a stream with usage',
    { stream: true, stream_options: { include_usage: true } },
    {
      status: 200,
      lines: (lines) => {
        expectFit({ usage: { total_tokens: 0 } }, lines[0], 'first piece')
        expectFit({ choices: [], usage }, lines.at(-1), 'last piece')
      },
    },
  ),
  completion('a negative number of probabilities is none', { logprobs: -1 }, { status: 200 }),

  asks(
    '2.8 embeddings: numbers',
    { path: '/v1/embeddings', body: { model: embedder, input: ['a', 'b'] } },
    {
      status: 200,
      json: {
        object: 'list',
        data: [{ object: 'embedding', embedding: anArray, index: 0 }, { index: 1 }],
        model: embedder,
        usage: { prompt_tokens: aPositiveNumber, total_tokens: aPositiveNumber },
      },
    },
  ),
  asks(
    '2.8 embeddings: base64',
    { path: '/v1/embeddings', body: { model: embedder, input: 'a', encoding_format: 'base64' } },
    { status: 200, json: { data: [{ embedding: /^[A-Za-z0-9+/]+=*$/ }] } },
  ),
  asks(
    '2.8 embeddings: an empty text',
    { path: '/v1/embeddings', body: { model: embedder, input: '' } },
    { status: 200, json: { data: [{ index: 0 }] } },
  ),
  asks(
    '2.8 embeddings: fewer dimensions',
    { path: '/v1/embeddings', body: { model: embedder, input: 'a', dimensions: 4 } },
    { status: 200, json: { data: [{ embedding: [aNumber, aNumber, aNumber, aNumber] }] } },
  ),
  asks(
    '2.8 models',
    { path: '/v1/models' },
    {
      status: 200,
      json: {
        object: 'list',
        data: (list: unknown) =>
          (Array.isArray(list) &&
            list.some(
              ({ id, object, owned_by }) =>
                id === `${talker}:latest` && object === 'model' && owned_by === 'conformance',
            )) ||
          JSON.stringify(list).includes('"owned_by":"library"'),
      },
    },
  ),

  response(
    'a whole answer',
    { reasoning: { effort: 'none' } },
    {
      status: 200,
      json: {
        id: /^resp_\d+$/,
        object: 'response',
        status: 'completed',
        model: talker,
        output: [
          {
            id: /^msg_\d+$/,
            type: 'message',
            role: 'assistant',
            content: [{ type: 'output_text', text: /Paris/ }],
          },
        ],
        usage: { input_tokens: aPositiveNumber, output_tokens: aPositiveNumber },
      },
    },
  ),
  response(
    'a stream',
    { stream: true, reasoning: { effort: 'none' } },
    {
      status: 200,
      type: /^text\/event-stream/,
      lines: (lines) => {
        const types = lines.map(({ type }) => type)
        expectFit(
          [
            'response.created',
            'response.in_progress',
            'response.output_item.added',
            'response.content_part.added',
            'response.output_text.delta',
          ],
          types.slice(0, 5),
          'first events',
        )
        expectFit(
          [
            'response.output_text.done',
            'response.content_part.done',
            'response.output_item.done',
            'response.completed',
          ],
          types.slice(-4),
          'last events',
        )
        expectFit(
          lines.map((_, index) => index),
          lines.map(({ sequence_number }) => sequence_number),
          'numbers',
        )
      },
    },
  ),
  response(
    'thinking',
    { reasoning: { effort: 'high' } },
    {
      status: 200,
      json: {
        output: [
          { type: 'reasoning', summary: [{ type: 'summary_text', text: aFullText }] },
          { type: 'message' },
        ],
      },
    },
  ),
  response(
    'a call',
    {
      input: 'What is the weather in Paris?',
      reasoning: { effort: 'none' },
      tools: [{ type: 'function', ...tools[0]?.function }],
    },
    {
      status: 200,
      json: { output: (items: unknown) => JSON.stringify(items).includes('"type":"function_call"') },
    },
  ),
  response(
    'an unknown item',
    { input: [{ type: 'x' }] },
    { status: 400, json: { error: { message: 'input[0]: unknown input item type: "x"' } } },
  ),
  response(
    'a file',
    { input: [{ role: 'user', content: [{ type: 'input_file' }] }] },
    { status: 400, json: { error: { message: 'file inputs are not currently supported' } } },
  ),

  anthropic(
    'a whole answer',
    {},
    {
      status: 200,
      json: {
        id: /^msg_[0-9a-f]{24}$/,
        type: 'message',
        role: 'assistant',
        model: talker,
        content: [{ type: 'text', text: /Paris/ }],
        stop_reason: 'end_turn',
        usage: { input_tokens: aPositiveNumber, output_tokens: aPositiveNumber },
      },
    },
  ),
  anthropic(
    'stops at max_tokens',
    { max_tokens: 2 },
    { status: 200, json: { stop_reason: 'max_tokens', usage: { output_tokens: 2 } } },
  ),
  anthropic(
    'stops at a text (Drover says so)',
    { stop_sequences: ['Paris'] },
    { status: 200, json: { stop_reason: 'stop_sequence', stop_sequence: 'Paris' } },
    { status: 200, json: { stop_reason: 'end_turn' } },
  ),
  anthropic(
    'a stream',
    { stream: true },
    {
      status: 200,
      type: /^text\/event-stream/,
      lines: (lines) => {
        const types = lines.map(({ type }) => type).filter((type) => type !== 'ping')
        expectFit(
          ['message_start', 'content_block_start', 'content_block_delta'],
          types.slice(0, 3),
          'first events',
        )
        expectFit(['content_block_stop', 'message_delta', 'message_stop'], types.slice(-3), 'last events')
      },
    },
  ),
  anthropic(
    'thinking',
    { thinking: { type: 'enabled', budget_tokens: 1024 }, max_tokens: 500 },
    { status: 200, json: { content: [{ type: 'thinking', thinking: aFullText }, { type: 'text' }] } },
  ),
  anthropic(
    'a call',
    {
      messages: weather,
      tools: [
        {
          name: 'get_weather',
          description: tools[0]?.function.description,
          input_schema: tools[0]?.function.parameters,
        },
      ],
    },
    {
      status: 200,
      json: {
        stop_reason: 'tool_use',
        content: (blocks: unknown) =>
          JSON.stringify(blocks).includes('"name":"get_weather","input":{"city":"Paris"}'),
      },
    },
  ),
  anthropic('blocks of a system prompt', { system: [{ type: 'text', text: 'Be brief.' }] }, { status: 200 }),
  asks(
    '2.9 count_tokens (Drover has it)',
    { path: '/v1/messages/count_tokens', body: { model: talker, messages } },
    { status: 200, json: { input_tokens: aPositiveNumber } },
    { status: 404 },
  ),
]
