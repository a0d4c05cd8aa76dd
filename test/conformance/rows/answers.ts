import { talker } from '../models.ts'
import {
  aFullText,
  aNumber,
  anArray,
  aPositiveNumber,
  asks,
  aText,
  aUtcDate,
  expectFit,
  type Row,
} from '../row.ts'

/** Sections 2.3, 2.4, 3: what generate and chat answer. */

const question = 'What is the capital of France?'
const user = [{ role: 'user', content: question }]
const few = { num_predict: 4, temperature: 0 }
const isAbsent = (value: unknown) => value === undefined
const keysInOrder = (value: object, wanted: readonly string[]) => {
  const keys = Object.keys(value)
  expectFit(
    wanted.filter((key) => keys.includes(key)),
    keys,
    'order of keys',
  )
}

const metrics = {
  total_duration: aPositiveNumber,
  prompt_eval_count: aPositiveNumber,
  eval_count: aPositiveNumber,
  eval_duration: aPositiveNumber,
}
const generateKeys = [
  'model',
  'created_at',
  'response',
  'thinking',
  'done',
  'done_reason',
  'context',
  'total_duration',
  'load_duration',
  'prompt_eval_count',
  'prompt_eval_duration',
  'eval_count',
  'eval_duration',
  'tool_calls',
  '_debug_info',
  'logprobs',
]
const chatKeys = [
  'model',
  'created_at',
  'message',
  'done',
  'done_reason',
  '_debug_info',
  'logprobs',
  'total_duration',
  'load_duration',
  'prompt_eval_count',
  'prompt_eval_duration',
  'eval_count',
  'eval_duration',
]

type Line = Record<string, unknown>

function streamed(first: object, last: object, keys: readonly string[]) {
  return (lines: Line[]) => {
    expectFit(true, lines.length > 1, 'more lines than one')
    for (const line of lines) keysInOrder(line, keys)
    for (const line of lines.slice(0, -1))
      expectFit(
        {
          model: talker,
          created_at: aUtcDate,
          done: false,
          done_reason: isAbsent,
          eval_count: isAbsent,
          ...first,
        },
        line,
        'line',
      )
    expectFit(
      { model: talker, created_at: aUtcDate, done: true, ...metrics, ...last },
      lines.at(-1),
      'last line',
    )
  }
}

const generate = (id: string, body: object, ...expected: Parameters<typeof asks>[2][]) =>
  asks(
    `2.3 generate: ${id}`,
    { path: '/api/generate', body: { model: talker, think: false, ...body } },
    ...expected,
  )
const chat = (id: string, body: object, ...expected: Parameters<typeof asks>[2][]) =>
  asks(`2.4 chat: ${id}`, { path: '/api/chat', body: { model: talker, think: false, ...body } }, ...expected)

const weather = {
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
}
const calls = [
  { id: /^call_[a-z0-9]{8}$/, function: { index: 0, name: 'get_weather', arguments: { city: 'Paris' } } },
]
const logprob = { token: aText, logprob: aNumber, bytes: anArray }

export const answers: Row[] = [
  generate(
    'streams lines',
    { prompt: question, options: few },
    {
      status: 200,
      type: 'application/x-ndjson',
      lines: streamed(
        { response: aText, context: isAbsent },
        { done_reason: /^(stop|length)$/, context: anArray },
        generateKeys,
      ),
    },
  ),
  generate(
    'answers whole',
    { prompt: question, stream: false },
    {
      status: 200,
      type: 'application/json; charset=utf-8',
      json: {
        model: talker,
        response: /Paris/,
        done: true,
        done_reason: 'stop',
        context: anArray,
        ...metrics,
      },
    },
  ),
  generate(
    'stops at num_predict',
    { prompt: question, stream: false, options: few },
    { status: 200, json: { done_reason: 'length', eval_count: 4 } },
  ),
  generate(
    'loads without a prompt',
    {},
    {
      status: 200,
      json: { model: talker, response: '', done: true, done_reason: 'load', total_duration: isAbsent },
    },
  ),
  generate(
    'unloads with keep_alive 0',
    { keep_alive: 0 },
    { status: 200, json: { response: '', done: true, done_reason: 'unload' } },
  ),
  generate('unloads what is not loaded', { keep_alive: 0 }, { status: 200, json: { done_reason: 'unload' } }),
  generate(
    'raw has no context',
    { prompt: 'x', raw: true, stream: false, options: few },
    { status: 200, json: { context: isAbsent, done: true } },
  ),
  generate(
    'shows the prompt only',
    { prompt: 'Hello', _debug_render_only: true },
    {
      status: 200,
      json: {
        model: talker,
        response: '',
        done: false,
        _debug_info: { rendered_template: /You are Drover\.[\s\S]*Hello/ },
      },
    },
  ),
  generate(
    'takes another system prompt',
    { prompt: 'Hello', system: 'Other.', _debug_render_only: true },
    { status: 200, json: { _debug_info: { rendered_template: /Other\.[\s\S]*Hello/ } } },
  ),
  generate(
    'takes another template',
    { prompt: 'Hello', template: '<{{ .Prompt }}>', _debug_render_only: true },
    { status: 200, json: { _debug_info: { rendered_template: '<Hello>' } } },
  ),
  generate(
    'fills a hole',
    { prompt: 'The capital of ', suffix: ' is Paris.', stream: false, options: few },
    { status: 200, json: { done: true, response: aText } },
  ),
  generate(
    'goes on from a context',
    { prompt: 'And?', context: [1, 2, 3], stream: false, options: few },
    { status: 200, json: { done: true, context: anArray } },
  ),
  generate(
    'gives probabilities',
    { prompt: question, stream: false, logprobs: true, top_logprobs: 2, options: { ...few, num_predict: 1 } },
    { status: 200, json: { logprobs: [{ ...logprob, top_logprobs: [logprob, logprob] }] } },
  ),
  generate(
    'without being asked gives none',
    { prompt: question, stream: false, options: few },
    { status: 200, json: { logprobs: isAbsent } },
  ),
  generate(
    'passes over unknown options',
    { prompt: 'x', stream: false, options: { ...few, mirostat: 1, nonsense: 'x' } },
    { status: 200 },
  ),
  generate(
    'takes an option that is null',
    { prompt: 'x', stream: false, options: { ...few, seed: null } },
    { status: 200 },
  ),
  generate(
    'takes null and "" for no format',
    { prompt: 'x', stream: false, format: '', options: few },
    { status: 200 },
  ),
  generate(
    'answers in JSON',
    {
      prompt: 'What is the capital of Japan? Answer in JSON.',
      format: 'json',
      stream: false,
      options: { temperature: 0, num_predict: 100 },
    },
    { status: 200, json: { response: /^\s*\{/ } },
  ),
  generate(
    'answers by a schema',
    {
      prompt: question,
      stream: false,
      options: { temperature: 0, num_predict: 60 },
      format: { type: 'object', properties: { capital: { type: 'string' } }, required: ['capital'] },
    },
    { status: 200, json: { response: /^\s*\{\s*"capital"\s*:\s*"/ } },
  ),
  generate(
    'thinks apart',
    { prompt: question, think: true, stream: false },
    { status: 200, json: { thinking: aFullText, response: aFullText } },
  ),
  asks(
    '2.3 generate: a thinking model thinks unless told not to',
    { path: '/api/generate', body: { model: talker, prompt: question, stream: false } },
    { status: 200, json: { thinking: aFullText } },
  ),

  chat(
    'streams lines',
    { messages: user, options: few },
    {
      status: 200,
      type: 'application/x-ndjson',
      lines: streamed(
        { message: { role: 'assistant', content: aText } },
        { done_reason: /^(stop|length)$/, message: { role: 'assistant', content: aText } },
        chatKeys,
      ),
    },
  ),
  chat(
    'answers whole',
    { messages: user, stream: false },
    {
      status: 200,
      type: 'application/json; charset=utf-8',
      json: {
        model: talker,
        message: { role: 'assistant', content: /Paris/ },
        done: true,
        done_reason: 'stop',
        context: isAbsent,
        ...metrics,
      },
    },
  ),
  chat(
    'loads without messages',
    {},
    {
      status: 200,
      json: {
        model: talker,
        message: { role: 'assistant', content: '' },
        done: true,
        done_reason: 'load',
        total_duration: isAbsent,
      },
    },
  ),
  chat(
    'loads whole, though it may stream',
    { stream: true, messages: [] },
    { status: 200, type: 'application/json; charset=utf-8', json: { done_reason: 'load' } },
  ),
  chat(
    'unloads with keep_alive 0',
    { messages: [], keep_alive: 0 },
    { status: 200, json: { message: { role: 'assistant', content: '' }, done: true, done_reason: 'unload' } },
  ),
  chat(
    'shows the prompt only',
    { messages: user, _debug_render_only: true },
    {
      status: 200,
      json: {
        done: false,
        _debug_info: {
          rendered_template: new RegExp(`You are Drover\\.[\\s\\S]*${question.replace('?', '\\?')}`),
        },
      },
    },
  ),
  chat(
    'has the first system message in place of the model’s',
    { messages: [{ role: 'system', content: 'Other.' }, ...user], _debug_render_only: true },
    {
      status: 200,
      json: {
        _debug_info: {
          rendered_template: (text: unknown) =>
            String(text).includes('Other.') && !String(text).includes('You are Drover.'),
        },
      },
    },
  ),
  chat(
    'lowers the case of roles',
    { messages: [{ role: 'USER', content: question }], stream: false },
    { status: 200, json: { message: { content: /Paris/ } } },
  ),
  chat(
    'calls a tool',
    {
      messages: [{ role: 'user', content: 'What is the weather in Paris?' }],
      tools: [weather],
      stream: false,
      options: { temperature: 0 },
    },
    { status: 200, json: { message: { tool_calls: calls }, done_reason: 'stop' } },
  ),
  asks(
    '2.4 chat: streams a call whole',
    {
      path: '/api/chat',
      body: {
        model: talker,
        think: false,
        messages: [{ role: 'user', content: 'What is the weather in Paris?' }],
        tools: [weather],
        options: { temperature: 0 },
      },
    },
    {
      status: 200,
      lines: (lines) => {
        const made = lines.flatMap((line) => (line['message'] as { tool_calls?: unknown[] }).tool_calls ?? [])
        expectFit(calls, made, 'calls')
      },
    },
  ),
  chat(
    'takes calls and replies of earlier turns',
    {
      stream: false,
      tools: [weather],
      messages: [
        { role: 'user', content: 'What is the weather in Paris?' },
        {
          role: 'assistant',
          content: '',
          tool_calls: [{ function: { name: 'get_weather', arguments: { city: 'Paris' } } }],
        },
        { role: 'tool', content: 'sunny', tool_name: 'get_weather' },
      ],
    },
    { status: 200, json: { message: { role: 'assistant', content: aText } } },
  ),
  chat(
    'thinks apart',
    { messages: user, think: true, stream: false },
    { status: 200, json: { message: { thinking: aFullText, content: aFullText } } },
  ),
  chat(
    'thinks by a level',
    { messages: user, think: 'high', stream: false },
    { status: 200, json: { message: { thinking: aFullText } } },
  ),
  chat(
    'gives probabilities',
    { messages: user, stream: false, logprobs: true, options: { ...few, num_predict: 1 } },
    { status: 200, json: { logprobs: [logprob] } },
  ),
  chat(
    'answers by a schema',
    {
      messages: user,
      stream: false,
      options: { temperature: 0, num_predict: 60 },
      format: { type: 'object', properties: { capital: { type: 'string' } }, required: ['capital'] },
    },
    { status: 200, json: { message: { content: /^\s*\{\s*"capital"/ } } },
  ),
  ...['1h', '-1', 300, -1, '500ms', 1.5].map((keep) =>
    chat(
      `keeps alive for ${JSON.stringify(keep)}`,
      { messages: [], keep_alive: keep === '-1' ? '-1s' : keep },
      { status: 200, json: { done_reason: 'load' } },
    ),
  ),
  asks(
    '3.5 ps: a model without end of its time',
    { path: '/api/ps' },
    { status: 200, json: { models: anArray } },
  ),
]
