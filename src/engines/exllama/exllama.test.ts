/** TabbyAPI by answers in the form of its own source (`endpoints/core`, `endpoints/OAI`). */
import { afterEach, describe, expect, it } from 'vitest'
import { specOf } from '../../../test/support/engine-contract/bench.ts'
import { answerOf, never } from '../../../test/support/llama-bench.ts'
import { type Answers, type ReplayServer, startReplay } from '../../../test/support/replay-server.ts'
import type { InstanceSpec } from '../contract.ts'
import { tabbyCommands, tabbyConfig } from './config.ts'
import { createExllamaEngine } from './index.ts'
import { tabbyModelOptions } from './options.ts'

const open: { close(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

const loading = (module: number, status = 'processing') => ({
  model_type: 'model',
  module,
  modules: 3,
  status,
})
/** sse-starlette ends its lines as HTTP does. */
const lineEnd = '\r\n'

/** A TabbyAPI that has `loaded` in memory and two models in its folder. */
async function tabby(answers: Answers = {}, loaded?: string): Promise<ReplayServer> {
  let current = loaded
  const server = await startReplay({
    'GET /health': { json: { status: 'healthy' } },
    'GET /v1/models': {
      json: { object: 'list', data: ['llama-exl3', 'qwen-exl3'].map((id) => ({ id, owned_by: 'tabbyAPI' })) },
    },
    'GET /v1/model': () =>
      current === undefined
        ? {
            status: 400,
            json: { detail: { error: { message: 'No models are currently loaded.', trace: null } } },
          }
        : { json: { id: current, owned_by: 'tabbyAPI', parameters: { max_seq_len: 512, cache_size: 2048 } } },
    'POST /v1/model/load': ({ body }) => {
      current = String(body['name'])
      return { events: [loading(1), loading(2), loading(3), loading(3, 'finished')], lineEnd }
    },
    'POST /v1/model/unload': () => {
      current = undefined
      return { json: null }
    },
    'POST /v1/token/encode': ({ body }) => {
      const tokens = [...(body['add_bos_token'] ? [1] : []), ...Buffer.from(String(body['text']))]
      return { json: { tokens, length: tokens.length } }
    },
    'POST /v1/token/decode': ({ body }) => ({
      json: { text: (body['tokens'] as number[]).includes(1) ? '<s>' : 'hi' },
    }),
    ...answers,
  })
  open.push(server)
  return server
}

function engineAt(server: ReplayServer, target: object = {}) {
  return createExllamaEngine({
    targets: [{ url: server.url, kind: 'exllama', model: 'contract', servedAs: 'llama-exl3', ...target }],
    modelFolders: new Map(),
    runDir: '/nowhere',
    log: () => undefined,
  })
}

describe('an attached TabbyAPI', () => {
  it('loads the model, by its key of administration, and unloads what it has loaded', async () => {
    process.env['TEST_TABBY_ADMIN'] = 'admin'
    const server = await tabby()
    const engine = engineAt(server, { adminKeyVariable: 'TEST_TABBY_ADMIN' })
    expect(await engine.probe()).toMatchObject({ available: true })
    const instance = await engine.launch(specOf('/m', { slots: 2 }), never)
    expect(instance).toMatchObject({ engine: 'exllama', tokensAtEnd: true, contextLength: 512, slots: 2 })
    expect(server.asked('POST /v1/model/load')).toEqual([
      {
        name: 'llama-exl3',
        max_seq_len: 512,
        cache_size: 1024,
        cache_mode: 'FP16',
        max_batch_size: 2,
        tensor_parallel: false,
        gpu_split_auto: true,
      },
    ])
    await instance.close()
    const unload = server.requests.findLast(({ route }) => route === 'POST /v1/model/unload')
    expect(unload?.headers['x-admin-key']).toBe('admin')
    delete process.env['TEST_TABBY_ADMIN']
  })

  it('that has the model keeps it, and one that has another is left alone', async () => {
    const having = await tabby({}, 'llama-exl3')
    const instance = await engineAt(having).launch(specOf('/m'), never)
    await instance.close()
    expect(having.requests.map(({ route }) => route)).not.toContain('POST /v1/model/unload')
    const busy = await tabby({}, 'qwen-exl3')
    await expect(engineAt(busy).launch(specOf('/m'), never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('has qwen-exl3 loaded, and one model at a time'),
    })
  })

  it.each([
    ['Insufficient VRAM in split for model and cache', 'insufficient_memory'],
    ['Unsupported architecture', 'load_failed'],
    ['CUDA out of memory. Tried to allocate 1.2 GiB', 'insufficient_memory'],
  ])('that cannot load because of "%s" says %s', async (message, code) => {
    const server = await tabby({
      'POST /v1/model/load': { events: [loading(1), { error: { message, trace: '' } }], lineEnd },
    })
    await expect(engineAt(server).launch(specOf('/m'), never)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    })
  })

  it('that breaks off while it loads has not loaded', async () => {
    const server = await tabby({ 'POST /v1/model/load': { events: [loading(1)], lineEnd } })
    await expect(engineAt(server).launch(specOf('/m'), never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('broke off while it loaded llama-exl3'),
    })
  })

  it('continues texts with the samplers that ExLlama has', async () => {
    const chunk = (text: string, finish_reason: string | null) => ({
      id: 'cmpl-1',
      object: 'text_completion',
      choices: [{ index: 0, finish_reason, text, logprobs: null }],
      usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 },
    })
    const server = await tabby({
      'POST /v1/completions': { events: [chunk('ba', null), chunk('a', 'stop'), 'DONE'], lineEnd },
    })
    const instance = await engineAt(server).launch(specOf('/m'), never)
    open.push(instance)
    const { text, tokens, done } = await answerOf(instance, { prompt: '<s>hi', format: { const: 'baa' } })
    expect({ text, tokens }).toEqual({ text: 'baa', tokens: [98, 97, 97] })
    expect(done).toMatchObject({ reason: 'stop', usage: { promptTokens: 7, outputTokens: 2 } })
    expect(server.asked('POST /v1/completions')[0]).toMatchObject({
      model: 'llama-exl3',
      prompt: 'hi',
      max_tokens: 24,
      typical: 1,
      penalty_range: 64,
      repetition_penalty: 1,
      add_bos_token: true,
      json_schema: { const: 'baa' },
    })
    const begun = answerOf(instance, { format: 'json', formatPrefix: '{' })
    await expect(begun).rejects.toMatchObject({ code: 'unsupported' })
  })

  it('refuses in the envelope of FastAPI', async () => {
    const server = await tabby({
      'POST /v1/completions': {
        status: 503,
        json: { detail: { error: { message: 'Completion aborted.', trace: null } } },
      },
    })
    const instance = await engineAt(server).launch(specOf('/m'), never)
    open.push(instance)
    await expect(answerOf(instance)).rejects.toMatchObject({ code: 'busy', message: 'Completion aborted.' })
  })
})

describe("TabbyAPI's options", () => {
  const spec = (changes: Partial<InstanceSpec>) =>
    specOf('/models/llama-exl3', { contextLength: 1000, ...changes })

  it('split by gigabytes where they are given, in whole pages of cache', () => {
    const parallel = { tensor: 1, pipeline: 2, data: 1, deviceGb: [22.5, 11] }
    expect(tabbyModelOptions(spec({ parallel, slots: 1, kvCacheType: 'q8_0' }))).toEqual({
      max_seq_len: 1000,
      cache_size: 1024,
      cache_mode: 'Q8',
      max_batch_size: 1,
      tensor_parallel: false,
      gpu_split_auto: false,
      gpu_split: [22.5, 11],
    })
  })

  it('are a file that hears this host only, and a command line that means the same', () => {
    expect(tabbyConfig(spec({}), 5001)).toMatchObject({
      network: { host: '127.0.0.1', port: 5001, disable_auth: true },
      model: { model_dir: '/models', max_seq_len: 1000 },
    })
    const [command] = tabbyCommands(spec({ parallel: { tensor: 2, pipeline: 1, data: 1 } }), undefined)
    expect(command?.argv.join(' ')).toContain('--model-name llama-exl3 --max-seq-len 1000')
    expect(command?.argv.join(' ')).toContain('--tensor-parallel true')
  })

  it.each([
    [{ kvCacheType: 'q5_1' }, 'ExLlama keeps no KV cache of q5_1'],
    [{ embedding: true }, 'ExLlama does not embed'],
    [{ adapterPaths: ['/a'] }, 'adapters are not given to ExLlama'],
    [{ parallel: { tensor: 1, pipeline: 1, data: 2 } }, 'ExLlama makes no copies'],
  ])('refuse %j', (changes, message) => {
    expect(() => tabbyModelOptions(spec(changes))).toThrow(message)
  })
})
