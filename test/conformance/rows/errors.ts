import { embedder, talker } from '../models.ts'
import { asks, type Row } from '../row.ts'

/** Section 2.2: what each endpoint says of the same mistakes. */

interface Endpoint {
  name: string
  method?: string
  path: string
  /** Go's name of the request's type. */
  type: string
  missing: [status: number, error: string]
  invalid?: [status: number, error: unknown]
  unknown?: [status: number, error: string]
}

const invalidName: [number, string] = [400, 'invalid model name']
const required: [number, string] = [400, 'model is required']
const tryPulling: [number, string] = [404, 'model "none" not found, try pulling it first']

const endpoints: Endpoint[] = [
  {
    name: 'generate',
    path: '/api/generate',
    type: 'GenerateRequest',
    missing: [404, "model '' not found"],
    invalid: invalidName,
    unknown: [404, "model 'none' not found"],
  },
  {
    name: 'chat',
    path: '/api/chat',
    type: 'ChatRequest',
    missing: required,
    invalid: invalidName,
    unknown: [404, "model 'none' not found"],
  },
  {
    name: 'embed',
    path: '/api/embed',
    type: 'EmbedRequest',
    missing: [404, "model '' not found"],
    invalid: invalidName,
    unknown: tryPulling,
  },
  {
    name: 'embeddings',
    path: '/api/embeddings',
    type: 'EmbeddingRequest',
    missing: required,
    invalid: invalidName,
    unknown: tryPulling,
  },
  {
    name: 'show',
    path: '/api/show',
    type: 'ShowRequest',
    missing: required,
    invalid: invalidName,
    unknown: [404, "model 'none:latest' not found"],
  },
  { name: 'pull', path: '/api/pull', type: 'PullRequest', missing: invalidName, invalid: invalidName },
  { name: 'push', path: '/api/push', type: 'PushRequest', missing: required },
  {
    name: 'delete',
    method: 'DELETE',
    path: '/api/delete',
    type: 'DeleteRequest',
    missing: required,
    invalid: [400, 'name "x y" is invalid'],
    unknown: [404, "model 'none' not found"],
  },
  { name: 'create', path: '/api/create', type: 'CreateRequest', missing: invalidName, invalid: invalidName },
]

const refused = (status: number, error: unknown) => ({ status, type: /^application\/json/, json: { error } })

function rowsOf({ name, method = 'POST', path, type, missing, invalid, unknown }: Endpoint): Row[] {
  const row = (what: string, body: unknown, status: number, error: unknown) =>
    asks(`2.2 ${name}: ${what}`, { method, path, body }, refused(status, error))
  return [
    row('an empty body', '', 400, 'missing request body'),
    row('a body cut off', '{', 400, 'unexpected EOF'),
    row('a bad literal', '{"model":nope}', 400, "invalid character 'o' in literal null (expecting 'u')"),
    row('an array', '[]', 400, `json: cannot unmarshal array into Go value of type api.${type}`),
    row(
      'a number for a model',
      '{"model":1}',
      400,
      `json: cannot unmarshal number into Go struct field ${type}.model of type string`,
    ),
    row('no model', {}, ...missing),
    row('an empty model', { model: '' }, ...missing),
    ...(invalid ? [row('an invalid name', { model: 'x y' }, ...invalid)] : []),
    ...(unknown ? [row('an unknown model', { model: 'none' }, ...unknown)] : []),
  ]
}

const chat = (id: string, body: object | string, status: number, error: unknown): Row =>
  asks(
    `2.2 chat: ${id}`,
    { path: '/api/chat', body: typeof body === 'string' ? body : { model: talker, ...body } },
    refused(status, error),
  )
const generate = (id: string, body: object, status: number, error: unknown): Row =>
  asks(
    `2.2 generate: ${id}`,
    { path: '/api/generate', body: { model: talker, prompt: 'x', ...body } },
    refused(status, error),
  )
const openAi = (id: string, path: string, body: unknown, status: number, error: object): Row =>
  asks(
    `2.2 openai: ${id}`,
    { path, body },
    { status, json: { error: { param: null, code: null, ...error } } },
  )
const anthropic = (id: string, body: unknown, status: number, error: object): Row =>
  asks(`2.2 anthropic: ${id}`, { path: '/v1/messages', body }, { status, json: { type: 'error', error } })

const user = [{ role: 'user', content: 'x' }]

export const errors: Row[] = [
  ...endpoints.flatMap(rowsOf),
  asks(
    '2.2 copy: an empty body',
    { method: 'POST', path: '/api/copy', body: '' },
    refused(400, 'missing request body'),
  ),
  asks('2.2 copy: no source', { path: '/api/copy', body: {} }, refused(400, 'source "" is invalid')),
  asks(
    '2.2 copy: an invalid source',
    { path: '/api/copy', body: { source: 'x y', destination: 'a' } },
    refused(400, 'source "x y" is invalid'),
  ),
  asks(
    '2.2 copy: an invalid destination',
    { path: '/api/copy', body: { source: 'a', destination: 'x y' } },
    refused(400, 'destination "x y" is invalid'),
  ),
  asks(
    '2.2 copy: an unknown source',
    { path: '/api/copy', body: { source: 'none', destination: 'a' } },
    refused(404, 'model "none" not found'),
  ),

  chat(
    'a member that is no key',
    '{"model":"x",}',
    400,
    "invalid character '}' looking for beginning of object key string",
  ),
  chat(
    'a list for options',
    { options: [] },
    400,
    'json: cannot unmarshal array into Go struct field ChatRequest.options of type map[string]interface {}',
  ),
  chat(
    'an image that is no base64',
    { messages: [{ role: 'user', content: 'x', images: ['data:x'] }] },
    400,
    /^illegal base64 data at input byte 4/,
  ),
  chat('a keep_alive without a unit', { keep_alive: '10' }, 400, 'time: missing unit in duration "10"'),
  chat('a keep_alive that is none', { keep_alive: 'abc' }, 400, 'time: invalid duration "abc"'),
  chat('a keep_alive of another type', { keep_alive: true }, 400, "Unsupported type: 'bool'"),
  chat(
    'an unknown level of thinking',
    { think: 'x' },
    400,
    'invalid think value: "x" (must be "high", "medium", "low", "max", true, or false)',
  ),
  chat(
    'thinking of another type',
    { think: 1 },
    400,
    'think must be a boolean or string ("high", "medium", "low", "max", true, or false)',
  ),
  chat('top_logprobs above 20', { top_logprobs: 21 }, 400, 'top_logprobs must be between 0 and 20'),
  chat('top_logprobs below 0', { top_logprobs: -1 }, 400, 'top_logprobs must be between 0 and 20'),
  chat(
    'an option of another type',
    { messages: user, options: { num_ctx: 'x' } },
    500,
    'option "num_ctx" must be of type integer',
  ),
  chat('a number for stop', { messages: user, options: { stop: 1 } }, 500, /^option "stop" must be of type /),
  chat(
    'a text for a boolean option',
    { messages: user, options: { use_mmap: 'x' } },
    500,
    'option "use_mmap" must be of type boolean',
  ),
  chat(
    'a bad format',
    { messages: user, format: 'xml' },
    500,
    'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object',
  ),
  chat('an embedding model', { model: embedder, messages: user }, 400, `"${embedder}" does not support chat`),
  generate('an embedding model', { model: embedder }, 400, `"${embedder}" does not support generate`),
  generate(
    'raw with a system prompt',
    { raw: true, system: 'x' },
    400,
    'raw mode does not support template, system, or context',
  ),
  generate(
    'raw with a template',
    { raw: true, template: 'x' },
    400,
    'raw mode does not support template, system, or context',
  ),
  generate('images of a model that does not see', { images: ['AQID'] }, 400, /does not support vision$/),
  generate('a bad template', { template: '{{ if }}' }, 500, /template/),
  asks(
    '2.2 embed: a model that generates',
    { path: '/api/embed', body: { model: talker, input: 'x' } },
    refused(501, /does not support embeddings/),
  ),
  asks(
    '2.2 embed: an input of another type',
    { path: '/api/embed', body: { model: embedder, input: 1 } },
    refused(400, 'invalid input type'),
  ),
  asks(
    '2.2 embed: too long, not to be cut',
    { path: '/api/embed', body: { model: embedder, input: 'word '.repeat(3000), truncate: false } },
    refused(400, 'the input length exceeds the context length'),
  ),
  asks(
    '2.2 blobs: a bad digest',
    { method: 'POST', path: '/api/blobs/sha256:00', body: 'x' },
    refused(400, 'invalid digest format'),
  ),
  asks(
    '2.2 blobs: another digest',
    { method: 'POST', path: `/api/blobs/sha256:${'0'.repeat(64)}`, body: 'x' },
    refused(
      400,
      /^digest mismatch, expected "sha256:0+", got "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"$/,
    ),
  ),
  asks(
    '2.2 blobs: one that is not there',
    { method: 'HEAD', path: `/api/blobs/sha256:${'0'.repeat(64)}` },
    { status: 404 },
  ),

  openAi('no model', '/v1/chat/completions', { messages: user }, 400, {
    message: 'model is required',
    type: 'invalid_request_error',
  }),
  openAi('an unknown model', '/v1/chat/completions', { model: 'none', messages: user }, 404, {
    message: "model 'none' not found",
    type: 'not_found_error',
  }),
  openAi('no messages', '/v1/chat/completions', { model: talker, messages: [] }, 400, {
    message: "[] is too short - 'messages'",
    type: 'invalid_request_error',
  }),
  openAi('an unknown model of embeddings', '/v1/embeddings', { model: 'none', input: 'x' }, 404, {
    type: 'not_found_error',
  }),
  openAi('no input of embeddings', '/v1/embeddings', { model: embedder }, 400, {
    message: 'invalid input',
    type: 'invalid_request_error',
  }),
  openAi(
    'an unknown encoding',
    '/v1/embeddings',
    { model: embedder, input: 'x', encoding_format: 'y' },
    400,
    {
      message: "Invalid value for 'encoding_format' = y. Supported values: ['float', 'base64'].",
      type: 'invalid_request_error',
    },
  ),
  openAi('an unknown model of the list', '/v1/models/none', undefined, 404, { type: 'not_found_error' }),
  openAi(
    'an unknown effort',
    '/v1/chat/completions',
    { model: talker, messages: user, reasoning_effort: 'x' },
    400,
    {
      message:
        'invalid reasoning value: "x" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none")',
      type: 'invalid_request_error',
    },
  ),
  openAi(
    'an image by its address',
    '/v1/chat/completions',
    {
      model: talker,
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'http://x/y.png' } }] }],
    },
    400,
    {
      message: 'image URLs are not currently supported, please use base64 encoded data instead',
      type: 'invalid_request_error',
    },
  ),
  openAi('a prompt that is a list', '/v1/completions', { model: talker, prompt: ['x'] }, 400, {
    type: 'invalid_request_error',
  }),

  anthropic('no model', { max_tokens: 5, messages: user }, 400, {
    type: 'invalid_request_error',
    message: 'model is required',
  }),
  anthropic('no max_tokens', { model: talker, messages: user }, 400, {
    type: 'invalid_request_error',
    message: 'max_tokens is required and must be positive',
  }),
  anthropic('no messages', { model: talker, max_tokens: 5, messages: [] }, 400, {
    type: 'invalid_request_error',
    message: 'messages is required',
  }),
  anthropic('an unknown model', { model: 'none', max_tokens: 5, messages: user }, 404, {
    type: 'not_found_error',
  }),
  anthropic(
    'an image by its address',
    {
      model: talker,
      max_tokens: 5,
      messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'url', url: 'http://x' } }] }],
    },
    400,
    {
      type: 'invalid_request_error',
      message: 'invalid image source type: url. Only base64 images are supported.',
    },
  ),
]
