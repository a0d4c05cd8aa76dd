import { describe, expect, it } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import { done, linesOf, replay, testApi, withoutTime } from '../testing/double.ts'

const metrics =
  '"total_duration":10000000,"load_duration":1000000,"prompt_eval_count":7,"prompt_eval_duration":1500000,' +
  '"eval_count":3,"eval_duration":2500000'

describe('generate', () => {
  it('streams lines in the key order of the original', async () => {
    const script = replay(
      { type: 'thinking', text: 'hm' },
      { type: 'token', text: 'a<b>&"\u2028' },
      { type: 'token', text: '' },
      done({ context: [1, 2] }),
    )
    const { post } = testApi({ script })
    const reply = await post('/api/generate', { model: 'tiny', prompt: 'x' })
    expect(reply.statusCode).toBe(200)
    expect(reply.headers['content-type']).toBe('application/x-ndjson')
    expect(linesOf(reply.body)).toEqual([
      '{"model":"tiny","created_at":"T","response":"","thinking":"hm","done":false}',
      '{"model":"tiny","created_at":"T","response":"a\\u003cb\\u003e\\u0026\\"\\u2028","done":false}',
      `{"model":"tiny","created_at":"T","response":"","done":true,"done_reason":"stop","context":[1,2],${metrics}}`,
    ])
  })

  it('merges an answer into one object when it is not streamed', async () => {
    const script = replay(
      { type: 'thinking', text: 'h' },
      { type: 'thinking', text: 'm' },
      { type: 'token', text: 'a', logprobs: [{ token: 'a', logprob: -0.5, bytes: [97] }] },
      { type: 'token', text: 'b' },
      done({ reason: 'length', loadMs: 0 }),
    )
    const { post } = testApi({ script })
    const reply = await post('/api/generate', { model: 'tiny', prompt: 'x', stream: false })
    expect(reply.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(withoutTime(reply.body)).toBe(
      '{"model":"tiny","created_at":"T","response":"ab","thinking":"hm","done":true,"done_reason":"length",' +
        '"total_duration":10000000,"prompt_eval_count":7,"prompt_eval_duration":1500000,"eval_count":3,' +
        '"eval_duration":2500000,"logprobs":[{"token":"a","logprob":-0.5,"bytes":[97]}]}',
    )
  })

  it.each(['load', 'unload'] as const)('answers %s with one object even when streaming', async (reason) => {
    const { post } = testApi({ script: replay(done({ reason })) })
    const reply = await post('/api/generate', { model: 'tiny', stream: true })
    expect(reply.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(withoutTime(reply.body)).toBe(
      `{"model":"tiny","created_at":"T","response":"","done":true,"done_reason":"${reason}"}`,
    )
  })

  it('passes every field on to the router', async () => {
    const { post, asked } = testApi()
    await post('/api/generate', {
      MODEL: 'tiny',
      prompt: 'p',
      suffix: 's',
      system: 'y',
      template: 't',
      images: ['AAEC'],
      context: [3, 4],
      format: { type: 'object' },
      options: { num_ctx: 8.9, temperature: 0.1, stop: ['x'], mirostat: 1, seed: null },
      think: 'max',
      truncate: false,
      shift: true,
      logprobs: true,
      top_logprobs: 2,
      keep_alive: '1m30s',
    })
    expect(asked[0]).toEqual({
      kind: 'generate',
      model: 'tiny',
      prompt: 'p',
      suffix: 's',
      system: 'y',
      template: 't',
      images: [Buffer.from([0, 1, 2])],
      context: [3, 4],
      format: { type: 'object' },
      options: { num_ctx: 8, temperature: 0.1, stop: ['x'] },
      think: 'max',
      truncate: false,
      shift: true,
      logprobs: true,
      topLogprobs: 2,
      keepAliveMs: 90_000,
    })
  })

  it('shows the rendered prompt without generating', async () => {
    const { post, asked } = testApi()
    const reply = await post('/api/generate', { model: 'tiny', prompt: 'x', _debug_render_only: true })
    expect(withoutTime(reply.body)).toBe(
      '{"model":"tiny","created_at":"T","response":"","done":false,' +
        '"_debug_info":{"rendered_template":"\\u003cs\\u003ehello"}}',
    )
    expect(asked).toEqual([])
  })
})

describe('chat', () => {
  const ask = { model: 'tiny', messages: [{ role: 'USER', content: 'hi' }] }

  it('streams lines in the key order of the original', async () => {
    const call = {
      id: 'call_1a2b3c4d',
      function: { index: 0, name: 'get_weather', arguments: { z: 1, a: 'é' } },
    }
    const script = replay(
      { type: 'thinking', text: 'Okay' },
      { type: 'token', text: 'Hi', logprobs: [{ token: 'Hi', logprob: -1e-7, bytes: [72, 105] }] },
      { type: 'token', text: '!' },
      { type: 'toolCall', call },
      done({ context: [1] }),
    )
    const { post } = testApi({ script })
    const reply = await post('/api/chat', ask)
    const message = '{"model":"tiny","created_at":"T","message":{"role":"assistant","content":'
    expect(linesOf(reply.body)).toEqual([
      `${message}"","thinking":"Okay"},"done":false}`,
      `${message}"Hi"},"done":false,"logprobs":[{"token":"Hi","logprob":-1e-7,"bytes":[72,105]}]}`,
      `${message}"!"},"done":false}`,
      `${message}"","tool_calls":[{"id":"call_1a2b3c4d","function":{"index":0,"name":"get_weather","arguments":{"z":1,"a":"é"}}}]},"done":false}`,
      // The shapes differ: chat has no context.
      `${message}""},"done":true,"done_reason":"stop",${metrics}}`,
    ])
  })

  it('merges an answer into one object when it is not streamed', async () => {
    const call = { function: { index: 0, name: 'f', arguments: {} } }
    const script = replay({ type: 'token', text: 'a' }, { type: 'toolCall', call }, done())
    const { post } = testApi({ script })
    const reply = await post('/api/chat', { ...ask, stream: false })
    expect(withoutTime(reply.body)).toBe(
      '{"model":"tiny","created_at":"T","message":{"role":"assistant","content":"a","tool_calls":' +
        `[{"function":{"index":0,"name":"f","arguments":{}}}]},"done":true,"done_reason":"stop",${metrics}}`,
    )
  })

  it('lower-cases roles and keeps the order of tool parameters', async () => {
    const { post, asked } = testApi()
    const tool = {
      type: 'function',
      function: {
        name: 'f',
        description: 'd',
        parameters: {
          type: 'object',
          additionalProperties: false,
          required: ['z'],
          properties: {
            z: { type: ['string', 'null'], pattern: 'x' },
            a: { type: 'integer', enum: [1, null] },
          },
        },
      },
    }
    await post('/api/chat', { ...ask, tools: [tool], keep_alive: -1, think: false, format: '' })
    expect(asked[0]).toEqual({
      kind: 'chat',
      model: 'tiny',
      messages: [{ role: 'user', content: 'hi' }],
      options: {},
      think: false,
      keepAliveMs: Number.POSITIVE_INFINITY,
      tools: [
        {
          type: 'function',
          function: {
            name: 'f',
            description: 'd',
            parameters: {
              type: 'object',
              required: ['z'],
              properties: { z: { type: ['string', 'null'] }, a: { type: 'integer', enum: [1, null] } },
            },
          },
        },
      ],
    })
    // Properties in the client's order, everything else in that of Ollama's structs.
    expect(JSON.stringify(asked[0])).toContain(
      '"parameters":{"type":"object","required":["z"],"properties":{"z":',
    )
  })

  it('ends a broken stream with an error line and status 200', async () => {
    const broken = new DroverError('engine_crashed', 'model runner has unexpectedly stopped')
    const { post, access } = testApi({ script: replay({ type: 'token', text: 'a' }, broken) })
    const reply = await post('/api/chat', ask)
    expect(reply.statusCode).toBe(200)
    expect(linesOf(reply.body).at(-1)).toBe('{"error":"model runner has unexpectedly stopped"}')
    expect(access()[0]).toMatchObject({ status: 200, error: 'engine_crashed' })
  })

  it('never lets a stream end without done or error', async () => {
    const { post } = testApi({ script: replay({ type: 'token', text: 'a' }) })
    const reply = await post('/api/chat', ask)
    expect(linesOf(reply.body).at(-1)).toBe('{"error":"the answer ended before it was complete"}')
  })

  it('gives an error before the first event its own status', async () => {
    const busy = new DroverError('busy', 'server busy, please try again.  maximum pending requests exceeded')
    const { post } = testApi({ script: replay(busy) })
    const reply = await post('/api/chat', ask)
    expect(reply.statusCode).toBe(503)
    expect(reply.body).toBe('{"error":"server busy, please try again.  maximum pending requests exceeded"}')
  })

  it('writes one line to the access log, without the prompt', async () => {
    const { post, access, lines } = testApi()
    await post('/api/chat?x=1', { ...ask, messages: [{ role: 'user', content: 'a secret' }] })
    expect(access()).toEqual([
      {
        id: expect.stringMatching(/^req_\w{20}$/),
        method: 'POST',
        path: '/api/chat',
        status: 200,
        ms: expect.any(Number),
        model: 'tiny',
        tokens: 3,
      },
    ])
    expect(JSON.stringify(lines)).not.toContain('a secret')
  })
})
