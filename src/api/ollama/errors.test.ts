import { describe, expect, it } from 'vitest'
import { testApi } from '../testing/double.ts'

const { post } = testApi()

async function refusal(path: string, body: unknown): Promise<[number, string]> {
  const reply = await post(path, body)
  const { error } = JSON.parse(reply.body)
  expect(reply.headers['content-type']).toBe('application/json; charset=utf-8')
  return [reply.statusCode, error]
}

describe('bodies that Go would not decode', () => {
  it.each([
    ['', 'missing request body'],
    [' \n', 'missing request body'],
    ['null', 'model is required'],
    ['{', 'unexpected EOF'],
    ['{"model":"tiny"', 'unexpected EOF'],
    ['{"model":nope}', "invalid character 'o' in literal null (expecting 'u')"],
    ['{"model":"tiny",}', "invalid character '}' looking for beginning of object key string"],
    ['{"model":"tiny" x}', "invalid character 'x' after object key:value pair"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":[1 2]}', "invalid character '2' after array element"],
    ['{"a":01}', "invalid character '1' after object key:value pair"],
    ['{"a":-}', "invalid character '}' in numeric literal"],
    ['{"a":1.}', "invalid character '}' after decimal point in numeric literal"],
    ['{"a":1e}', "invalid character '}' in exponent of numeric literal"],
    ['{"a":"\n"}', "invalid character '\\n' in string literal"],
    ['{"a":"\\x"}', "invalid character 'x' in string escape code"],
    ['{"a":"\\u12g4"}', "invalid character 'g' in \\u hexadecimal character escape"],
    ["{'a':1}", "invalid character '\\'' looking for beginning of object key string"],
    ['é', "invalid character 'Ã' looking for beginning of value"],
    ['\u{feff}{}', "invalid character 'ï' looking for beginning of value"],
    ['[]', 'json: cannot unmarshal array into Go value of type api.ChatRequest'],
    ['"x"', 'json: cannot unmarshal string into Go value of type api.ChatRequest'],
    ['{"model":1}', 'json: cannot unmarshal number into Go struct field ChatRequest.model of type string'],
    [
      '{"stream":"yes"}',
      'json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool',
    ],
    [
      '{"options":[]}',
      'json: cannot unmarshal array into Go struct field ChatRequest.options of type map[string]interface {}',
    ],
    [
      '{"top_logprobs":1.5}',
      'json: cannot unmarshal number 1.5 into Go struct field ChatRequest.top_logprobs of type int',
    ],
    [
      '{"messages":{}}',
      'json: cannot unmarshal object into Go struct field ChatRequest.messages of type []api.Message',
    ],
    [
      '{"messages":["x"]}',
      'json: cannot unmarshal string into Go struct field ChatRequest.messages of type api.Alias',
    ],
    [
      '{"messages":[{"content":[]}]}',
      'json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string',
    ],
    [
      '{"messages":[{"tool_calls":[{"function":{"name":1}}]}]}',
      'json: cannot unmarshal number into Go struct field ChatRequest.messages.tool_calls.function.name of type string',
    ],
    [
      '{"tools":[{"function":{"name":1}}]}',
      'json: cannot unmarshal number into Go struct field ToolFunction.tools.function.name of type string',
    ],
    ['{"messages":[{"images":["data:image/png;base64,AAAA"]}]}', 'illegal base64 data at input byte 4'],
    ['{"messages":[{"images":["AAA"]}]}', 'illegal base64 data at input byte 0'],
    ['{"keep_alive":"abc"}', 'time: invalid duration "abc"'],
    ['{"keep_alive":"10"}', 'time: missing unit in duration "10"'],
    ['{"keep_alive":"10x"}', 'time: unknown unit "x" in duration "10x"'],
    ['{"keep_alive":true}', "Unsupported type: 'bool'"],
    ['{"think":"x"}', 'invalid think value: "x" (must be "high", "medium", "low", "max", true, or false)'],
    ['{"think":1}', 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)'],
    // The first type error is reported, but an error of a type's own decoder comes before it.
    [
      '{"model":1,"stream":1}',
      'json: cannot unmarshal number into Go struct field ChatRequest.model of type string',
    ],
    ['{"model":1,"keep_alive":"10"}', 'time: missing unit in duration "10"'],
  ])('chat refuses %j', async (body, words) => {
    expect(await refusal('/api/chat', body)).toEqual([400, words])
  })

  it('refuses what nests too deep', async () => {
    const words = "invalid character '[' exceeded max depth"
    expect(await refusal('/api/chat', '['.repeat(20_000))).toEqual([400, words])
  })

  it('takes what Go takes', async () => {
    const { post, asked } = testApi()
    const reply = await post(
      '/api/chat',
      '{"MODEL":"x","model":"tiny","Messages":null,"stream":null,"unknown":{},"think":null} trailing',
    )
    expect(reply.statusCode).toBe(200)
    expect(asked[0]).toEqual({ kind: 'chat', model: 'tiny', messages: [], options: {} })
  })

  it('does not look at the content type', async () => {
    const { post } = testApi()
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'nonsense',
      'application/json; x',
    ]) {
      const reply = await post('/api/chat', { model: 'tiny' }, { 'content-type': type })
      expect(reply.statusCode).toBe(200)
    }
  })
})

describe('names of models', () => {
  it.each([
    ['/api/generate', {}, 404, "model '' not found"],
    ['/api/chat', {}, 400, 'model is required'],
    ['/api/embed', {}, 404, "model '' not found"],
    ['/api/embeddings', {}, 400, 'model is required'],
    ['/api/show', {}, 400, 'model is required'],
    ['/api/generate', { model: 'a b' }, 400, 'invalid model name'],
    ['/api/chat', { model: 'a b' }, 400, 'invalid model name'],
    ['/api/embed', { model: 'a b' }, 400, 'invalid model name'],
    ['/api/embeddings', { model: 'a b' }, 400, 'invalid model name'],
    ['/api/show', { model: 'a b' }, 400, 'invalid model name'],
    ['/api/generate', { model: 'Nope' }, 404, "model 'Nope' not found"],
    ['/api/chat', { model: 'Nope' }, 404, "model 'Nope' not found"],
    ['/api/embed', { model: 'Nope' }, 404, 'model "Nope" not found, try pulling it first'],
    ['/api/embeddings', { model: 'Nope' }, 404, 'model "Nope" not found, try pulling it first'],
    ['/api/show', { model: 'Nope' }, 404, "model 'Nope:latest' not found"],
    ['/api/show', { name: 'me/Nope:q4' }, 404, "model 'me/Nope:q4' not found"],
  ])('%s %j is %i %s', async (path, body, status, words) => {
    expect(await refusal(path, body)).toEqual([status, words])
  })
})

describe('what is checked after the name', () => {
  it.each([
    [{ num_ctx: 'x' }, 'option "num_ctx" must be of type integer'],
    [{ use_mmap: 1 }, 'option "use_mmap" must be of type boolean'],
    [{ temperature: '1' }, 'option "temperature" must be of type float32'],
    [{ stop: 'x' }, 'option "stop" must be of type array'],
    [{ stop: ['x', 1] }, 'option "stop" must be of an array of strings'],
  ])('options %j are 500', async (options, words) => {
    expect(await refusal('/api/generate', { model: 'tiny', prompt: 'x', options })).toEqual([500, words])
    expect((await refusal('/api/generate', { model: 'nope', options }))[0]).toBe(404)
  })

  it.each([
    ['xml', '"\\"xml\\""'],
    [true, '"true"'],
    [['a'], '"[\\"a\\"]"'],
  ])('format %j is 500', async (format, shown) => {
    const words = `invalid format: ${shown}; expected "json" or a valid JSON Schema object`
    expect(await refusal('/api/chat', { model: 'tiny', format })).toEqual([500, words])
  })

  it.each([{ template: 't' }, { system: 's' }, { context: [1] }])('raw does not go with %j', async (also) => {
    const words = 'raw mode does not support template, system, or context'
    expect(await refusal('/api/generate', { model: 'tiny', prompt: 'x', raw: true, ...also })).toEqual([
      400,
      words,
    ])
  })

  it('raw is not looked at when a model is unloaded', async () => {
    const { post, asked } = testApi()
    await post('/api/generate', { model: 'tiny', raw: true, system: 's', keep_alive: 0 })
    expect(asked[0]).toMatchObject({ prompt: '', keepAliveMs: 0 })
  })

  it.each([-1, 21])('top_logprobs %i is refused', async (count) => {
    const words = 'top_logprobs must be between 0 and 20'
    expect(await refusal('/api/generate', { model: 'tiny', top_logprobs: count })).toEqual([400, words])
  })

  it.each([[1], [['a', 1]], [{}]])('input %j is no text', async (input) => {
    expect(await refusal('/api/embed', { model: 'tiny', input })).toEqual([400, 'invalid input type'])
  })
})
