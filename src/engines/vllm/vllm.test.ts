/** vLLM by answers in the form of its own source (`completion/serving.py`, 0.11 and later): no GPU of vLLM's runs here. */
import { afterEach, describe, expect, it } from 'vitest'
import { specOf } from '../../../test/support/engine-contract/bench.ts'
import { publishEvents, socketPlace } from '../../../test/support/kv-events.ts'
import { answerOf, atTemperature, never, request } from '../../../test/support/llama-bench.ts'
import { type Answers, type ReplayServer, startReplay } from '../../../test/support/replay-server.ts'
import type { EngineInstance, InstanceSpec } from '../contract.ts'
import { createVllmEngine } from './index.ts'

const open: { close(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

const card = { id: 'llama', object: 'model', owned_by: 'vllm', max_model_len: 64, parent: null }
/** `<s>` is 1; a word is its length. */
const tokenize = ({ body }: { body: Record<string, unknown> }) => {
  const words = String(body['prompt']).split(' ').filter(Boolean)
  const tokens = [...(body['add_special_tokens'] ? [1] : []), ...words.map((word) => word.length + 100)]
  return { json: { tokens, count: tokens.length, max_model_len: 64 } }
}
const basics: Answers = {
  'GET /v1/models': { json: { object: 'list', data: [card] } },
  'GET /health': { text: '' },
  'GET /version': { json: { version: '0.11.0' } },
  'POST /tokenize': tokenize,
  'POST /detokenize': ({ body }) => ({
    json: { prompt: (body['tokens'] as number[])[0] === 1 ? '<s>' : 'words' },
  }),
}

const chunk = (text: string, token_ids: number[], more: object = {}, rest: object = {}) => ({
  id: 'cmpl-1',
  object: 'text_completion',
  created: 1_760_000_000,
  model: 'llama',
  choices: [{ index: 0, text, logprobs: null, finish_reason: null, stop_reason: null, token_ids, ...more }],
  ...rest,
})
const usage = {
  id: 'cmpl-1',
  object: 'text_completion',
  choices: [],
  usage: {
    prompt_tokens: 5,
    completion_tokens: 4,
    total_tokens: 9,
    prompt_tokens_details: { cached_tokens: 3 },
  },
}

async function attached(
  answers: Answers,
  changes: Partial<InstanceSpec> = {},
  target: object = {},
): Promise<{ instance: EngineInstance; server: ReplayServer }> {
  const server = await startReplay({ ...basics, ...answers })
  open.push(server)
  const engine = createVllmEngine({
    targets: [{ url: server.url, kind: 'vllm', model: 'contract', ...target }],
    modelFolders: new Map(),
    runDir: '/nowhere',
    log: () => undefined,
  })
  expect(await engine.probe()).toMatchObject({ available: true, version: '0.11.0', path: server.url })
  const instance = await engine.launch(specOf('/m.gguf', changes), never)
  open.push(instance)
  return { instance, server }
}

describe('an attached vLLM', () => {
  it('is asked by its own name and for what it can do, and its tokens come with their text', async () => {
    const events = [
      chunk('Par', [11]),
      chunk('', [12]),
      chunk('is 日', [13]),
      chunk('', [2], { finish_reason: 'stop' }),
    ]
    const { instance, server } = await attached({
      'POST /v1/completions': { events: [...events, usage, 'DONE'] },
    })
    expect(instance).toMatchObject({ engine: 'vllm', pid: 0, contextLength: 64, slots: 4 })
    expect(instance.tokensAtEnd).toBeUndefined()
    const { events: told, done } = await answerOf(instance, {
      prompt: '<s>Where is it?',
      sampling: atTemperature(0.5, 7),
    })
    expect(told.slice(0, -1)).toEqual([
      { type: 'token', text: 'Par', tokens: [11] },
      // A character that is not whole yet comes with the tokens that make it so.
      { type: 'token', text: 'is 日', tokens: [12, 13] },
    ])
    expect(done).toMatchObject({
      reason: 'stop',
      usage: { promptTokens: 5, cachedTokens: 3, outputTokens: 4 },
    })
    expect(server.asked('POST /v1/completions')).toEqual([
      {
        model: 'llama',
        // Its tokenizer puts a BOS there by itself.
        prompt: 'Where is it?',
        stream: true,
        stream_options: { include_usage: true },
        max_tokens: 24,
        temperature: 0.5,
        top_p: 0.9,
        top_k: 40,
        min_p: 0,
        repetition_penalty: 1,
        presence_penalty: 0,
        frequency_penalty: 0,
        seed: 7,
        return_token_ids: true,
        skip_special_tokens: true,
        spaces_between_special_tokens: false,
      },
    ])
  })

  it('ends before a stop string of which no part is shown, and tells which it was', async () => {
    const events = [chunk('one t', [1]), chunk('wo', [2], { finish_reason: 'stop', stop_reason: 'two' })]
    const { instance, server } = await attached({
      'POST /v1/completions': { events: [...events, usage, 'DONE'] },
    })
    const { text, done } = await answerOf(instance, { stop: ['never', 'two'] })
    expect(text).toBe('one ')
    expect(done).toMatchObject({ reason: 'stop', stopSequence: 'two', usage: { outputTokens: 4 } })
    expect(server.asked('POST /v1/completions')[0]).toMatchObject({
      stop: ['never', 'two'],
      include_stop_str_in_output: true,
    })
  })

  it('gets a prompt as tokens where only counting tells how much room there is', async () => {
    const { instance, server } = await attached({
      'POST /v1/completions': { events: [chunk('x', [9], { finish_reason: 'length' }), usage, 'DONE'] },
    })
    const prompt = Array.from({ length: 20 }, () => 'words').join(' ')
    expect((await answerOf(instance, { prompt, maxTokens: 1_000 })).done.reason).toBe('length')
    expect(server.asked('POST /v1/completions')[0]).toMatchObject({
      prompt: [1, ...Array.from({ length: 20 }, () => 105)],
      max_tokens: 64 - 21,
    })
    await expect(answerOf(instance, { prompt: Array.from({ length: 70 }, () => 5) })).rejects.toMatchObject({
      code: 'context_exceeded',
      message: expect.stringMatching(/^the prompt is longer than the context length/),
    })
  })

  it('takes formats by response_format, and a begun one by a grammar of the rest', async () => {
    const { instance, server } = await attached({
      'POST /v1/completions': { events: [chunk('1}', [9], { finish_reason: 'stop' }), usage, 'DONE'] },
    })
    const format = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] }
    await answerOf(instance, { format })
    await answerOf(instance, { format: 'json' })
    await answerOf(instance, { format, formatPrefix: '{"a": ' })
    const [schema, json, begun] = server.asked('POST /v1/completions')
    expect(schema?.['response_format']).toEqual({
      type: 'json_schema',
      json_schema: { name: 'answer', schema: format, strict: true },
    })
    expect(json?.['response_format']).toEqual({ type: 'json_object' })
    expect(begun?.['response_format']).toBeUndefined()
    expect(begun?.['structured_outputs']).toMatchObject({ grammar: expect.stringContaining('root ::= ') })
    await expect(answerOf(instance, { format, formatPrefix: '{"b' })).rejects.toMatchObject({
      code: 'invalid_format',
    })
  })

  it('tells probabilities, of parts of characters too', async () => {
    const logprobs = {
      text_offset: [0],
      tokens: ['bytes:\\xe6\\x97'],
      token_logprobs: [-0.5],
      top_logprobs: [{ ' a': -1.5, 'bytes:\\xe6\\x97': -0.5 }],
    }
    const { instance, server } = await attached({
      'POST /v1/completions': {
        events: [chunk('x', [9], { logprobs, finish_reason: 'length' }), usage, 'DONE'],
      },
    })
    const { events } = await answerOf(instance, { topLogprobs: 2 })
    const best = { token: '\uFFFD', logprob: -0.5, bytes: [0xe6, 0x97] }
    expect(events[0]).toMatchObject({
      logprobs: [{ ...best, top_logprobs: [best, { token: ' a', logprob: -1.5, bytes: [32, 97] }] }],
    })
    expect(server.asked('POST /v1/completions')[0]).toMatchObject({ logprobs: 2 })
  })

  it.each([
    [400, "This model's maximum context length is 64 tokens. However, you requested 70", 'context_exceeded'],
    [400, 'Grammar error: Unsupported schema', 'invalid_format'],
    [404, 'The model `llama` does not exist.', 'engine_unavailable'],
    [500, 'EngineCore encountered an issue. See stack trace (above) for the root cause.', 'engine_crashed'],
    [500, 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB', 'insufficient_memory'],
    [503, 'overloaded', 'busy'],
  ])('that refuses with %i "%s" means %s', async (status, message, code) => {
    const json = { error: { message, type: 'Error', param: null, code: status } }
    const { instance } = await attached({ 'POST /v1/completions': { status, json } })
    await expect(answerOf(instance)).rejects.toMatchObject({ code })
    expect(instance.load()).toEqual({ running: 0, waiting: 0 })
  })

  it('whose engine dies in the middle of an answer fails it, with and without a word', async () => {
    const error = {
      error: { message: 'EngineCore encountered an issue.', type: 'InternalServerError', code: 500 },
    }
    const { instance } = await attached({
      'POST /v1/completions': { events: [chunk('a', [1]), error, 'DONE'] },
    })
    await expect(answerOf(instance)).rejects.toMatchObject({ code: 'engine_crashed' })
    const silent = await attached({ 'POST /v1/completions': { events: [chunk('a', [1])], breaks: true } })
    await expect(answerOf(silent.instance)).rejects.toMatchObject({ code: 'engine_failed' })
  })

  it('tells its load when it is looked at, engines added up', async () => {
    const metrics = [
      '# TYPE vllm:num_requests_running gauge',
      'vllm:num_requests_running{engine="0",model_name="llama"} 3.0',
      'vllm:num_requests_running{engine="1",model_name="llama"} 2.0',
      'vllm:num_requests_waiting{engine="0",model_name="llama"} 7.0',
      'vllm:kv_cache_usage_perc{engine="0",model_name="llama"} 0.25',
      'vllm:kv_cache_usage_perc{engine="1",model_name="llama"} 0.75',
    ].join('\n')
    const { instance } = await attached({ 'GET /metrics': { text: metrics } })
    expect(instance.load()).toEqual({ running: 0, waiting: 0 })
    await instance.ping(never)
    expect(instance.load().server).toEqual({ running: 5, waiting: 7, kvCacheUsed: 0.75 })
  })

  it('tells by the events of its cache how much of a prompt is left there, after the answer too', async () => {
    const place = await socketPlace()
    open.push({ close: place.remove })
    const events = await publishEvents(place.endpoint)
    open.push({ close: async () => events.close() })
    const prompt_token_ids = [1, 2, 3, 4, 5]
    const answer = [
      chunk('x', [9], { prompt_token_ids }),
      chunk('', [2], { finish_reason: 'stop' }),
      usage,
      'DONE',
    ]
    const { instance } = await attached(
      { 'POST /v1/completions': { events: answer } },
      {},
      { kvEvents: place.endpoint },
    )
    await events.subscribed()
    const told: number[] = []
    let wake: () => void = () => undefined
    const toldAgain = () =>
      new Promise<void>((resolve) => {
        wake = resolve
      })
    const onCacheShrunk = (kept: number) => {
      told.push(kept)
      wake()
    }
    for await (const _ of instance.generate(request(), never, onCacheShrunk)) {
      // To its end.
    }
    const last = 2n ** 64n - 1n
    let again = toldAgain()
    await events.publish([['BlockStored', [11n, last], null, [1, 2, 3, 4], 2, null, 'GPU']])
    await events.publish([{ type: 'BlockRemoved', block_hashes: [last], medium: 'GPU', group_idx: 0 }])
    await again
    again = toldAgain()
    await events.publish([['AllBlocksCleared']])
    await again
    expect(told).toEqual([2, 0])
  })

  it('that sleeps is woken, and laid to sleep again', async () => {
    const { instance, server } = await attached(
      {
        'GET /is_sleeping': { json: { is_sleeping: true } },
        'POST /wake_up': { text: '' },
        'POST /sleep?level=1': { text: '' },
      },
      {},
      { sleeps: true },
    )
    expect(server.asked('POST /wake_up')).toHaveLength(1)
    await instance.close()
    expect(server.asked('POST /sleep?level=1')).toHaveLength(1)
  })

  it('embeds texts and tokens, each vector in its place', async () => {
    const float = (values: number[]) => Buffer.from(Float32Array.from(values).buffer).toString('base64')
    const data = [
      { object: 'embedding', index: 1, embedding: float([0, 2]) },
      { object: 'embedding', index: 0, embedding: float([3, 4]) },
    ]
    const { instance, server } = await attached({
      'POST /v1/embeddings': { json: { object: 'list', data, model: 'llama', usage: { prompt_tokens: 6 } } },
    })
    const { embeddings, promptTokens } = await instance.embed(['some words', [7, 8]], never)
    expect(embeddings.map((vector) => [...vector].map((value) => Math.round(value * 10) / 10))).toEqual([
      [0.6, 0.8],
      [0, 1],
    ])
    expect(promptTokens).toBe(6)
    expect(server.asked('POST /v1/embeddings')).toEqual([
      {
        model: 'llama',
        input: [
          [1, 104, 105],
          [7, 8],
        ],
        encoding_format: 'base64',
      },
    ])
  })

  it('that serves another model, or wants a key, says so', async () => {
    const server = await startReplay({
      ...basics,
      'GET /v1/models': ({ headers }) =>
        headers.authorization === 'Bearer secret'
          ? { json: { data: [card, { ...card, id: 'other' }] } }
          : { status: 401, json: { error: 'Unauthorized' } },
    })
    open.push(server)
    const engine = (target: object) =>
      createVllmEngine({
        targets: [{ url: server.url, kind: 'vllm', ...target }],
        modelFolders: new Map(),
        runDir: '/nowhere',
        log: () => undefined,
      })
    await expect(engine({}).launch(specOf('/m'), never)).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: expect.stringContaining(
        'Unauthorized. It wants a key: name the variable that has it (key-env=NAME)',
      ),
    })
    process.env['TEST_VLLM_KEY'] = 'secret'
    await expect(engine({ keyVariable: 'TEST_VLLM_KEY' }).launch(specOf('/m'), never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('serves no contract: it has llama, other. Say which of them it is'),
    })
    const named = { keyVariable: 'TEST_VLLM_KEY', model: 'contract', servedAs: 'other' }
    const instance = await engine(named).launch(specOf('/m'), never)
    await instance.close()
    delete process.env['TEST_VLLM_KEY']
  })
})
