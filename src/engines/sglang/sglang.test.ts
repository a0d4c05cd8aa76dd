/** SGLang by answers in the form of its own source (`http_server.py`, `tokenizer_manager.py`). */
import { afterEach, describe, expect, it } from 'vitest'
import { specOf } from '../../../test/support/engine-contract/bench.ts'
import { answerOf, never } from '../../../test/support/llama-bench.ts'
import { type Answers, type ReplayServer, startReplay } from '../../../test/support/replay-server.ts'
import type { EngineInstance, InstanceSpec } from '../contract.ts'
import { createSglangEngine } from './index.ts'
import { launchLine, sglangCommands } from './launch-line.ts'
import { sglangMemory } from './log.ts'

const open: { close(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

async function attached(answers: Answers): Promise<{ instance: EngineInstance; server: ReplayServer }> {
  const server = await startReplay({
    'GET /v1/models': { json: { data: [{ id: 'qwen', owned_by: 'sglang', max_model_len: 128 }] } },
    'GET /health': { text: '' },
    'GET /get_server_info': { json: { version: '0.5.5', model_path: 'qwen' } },
    'POST /tokenize': ({ body }) => ({ json: { tokens: [...Buffer.from(String(body['prompt']))] } }),
    'POST /detokenize': { json: { text: 'x' } },
    ...answers,
  })
  open.push(server)
  const engine = createSglangEngine({
    targets: [{ url: server.url, kind: 'sglang', model: 'contract' }],
    modelFolders: new Map(),
    runDir: '/nowhere',
    log: () => undefined,
  })
  expect(await engine.probe()).toMatchObject({ available: true, version: '0.5.5' })
  const instance = await engine.launch(specOf('/m'), never)
  open.push(instance)
  return { instance, server }
}

const meta = (completion_tokens: number, more: object = {}) => ({
  id: 'r1',
  finish_reason: null,
  prompt_tokens: 9,
  cached_tokens: 4,
  completion_tokens,
  ...more,
})
const stopped = { finish_reason: { type: 'stop', matched: 151645 } }

describe('an attached SGLang', () => {
  it.each([
    [
      'all of the answer with each event',
      [
        { text: 'Pa', output_ids: [5], meta_info: meta(1) },
        { text: 'Paris', output_ids: [5, 6], meta_info: meta(2) },
        { text: 'Paris.', output_ids: [5, 6, 7, 2], meta_info: meta(4, stopped) },
      ],
    ],
    [
      'what is new with each event',
      [
        { text: 'Pa', output_ids: [5], meta_info: meta(1) },
        { text: 'ris', output_ids: [6], meta_info: meta(2) },
        { text: '.', output_ids: [7, 2], meta_info: meta(4, stopped) },
      ],
    ],
  ])('that tells %s gives the same answer, its tokens at the end', async (_how, events) => {
    const { instance, server } = await attached({ 'POST /generate': { events: [...events, 'DONE'] } })
    expect(instance).toMatchObject({ engine: 'sglang', tokensAtEnd: true, contextLength: 128 })
    const { events: told, done } = await answerOf(instance, { prompt: 'Where?' })
    expect(told.slice(0, -1)).toEqual([
      { type: 'token', text: 'Pa', tokens: [] },
      { type: 'token', text: 'ris', tokens: [] },
      { type: 'token', text: '.', tokens: [] },
      { type: 'token', text: '', tokens: [5, 6, 7] },
    ])
    expect(done).toMatchObject({
      reason: 'stop',
      usage: { promptTokens: 9, cachedTokens: 4, outputTokens: 4 },
    })
    expect(server.asked('POST /generate')).toEqual([
      {
        text: 'Where?',
        stream: true,
        sampling_params: {
          max_new_tokens: 24,
          temperature: 0,
          top_p: 0.9,
          top_k: 40,
          min_p: 0,
          repetition_penalty: 1,
          presence_penalty: 0,
          frequency_penalty: 0,
          sampling_seed: 1,
          skip_special_tokens: true,
          spaces_between_special_tokens: false,
        },
      },
    ])
  })

  it('is told tokens, stop strings and formats in its own words', async () => {
    const matched = { finish_reason: { type: 'stop', matched: 'baa' } }
    const { instance, server } = await attached({
      'POST /generate': {
        events: [
          { text: 'a ba', output_ids: [1], meta_info: meta(1) },
          { text: 'a baa', output_ids: [1, 2], meta_info: meta(2, matched) },
          'DONE',
        ],
      },
    })
    const format = { const: 1 }
    const { text, done } = await answerOf(instance, { prompt: [3, 4], stop: ['baa'], format })
    expect(text).toBe('a ')
    expect(done).toMatchObject({ reason: 'stop', stopSequence: 'baa' })
    await answerOf(instance, { format, formatPrefix: '1' })
    const [whole, begun] = server.asked('POST /generate')
    expect(whole).toMatchObject({
      input_ids: [3, 4],
      sampling_params: { stop: ['baa'], no_stop_trim: true, json_schema: '{"const":1}' },
    })
    expect(begun).toMatchObject({ sampling_params: { ebnf: expect.stringContaining('root ::=') } })
  })

  it('tells probabilities with their texts', async () => {
    const logprobs = {
      output_token_logprobs: [[-0.1, 5, 'Pa']],
      output_top_logprobs: [
        [
          [-0.1, 5, 'Pa'],
          [-2, 6, 'Ro'],
        ],
      ],
    }
    const { instance, server } = await attached({
      'POST /generate': {
        events: [
          {
            text: 'Pa',
            output_ids: [5],
            meta_info: meta(1, { ...logprobs, finish_reason: { type: 'length', length: 1 } }),
          },
          'DONE',
        ],
      },
    })
    const { events, done } = await answerOf(instance, { topLogprobs: 2 })
    const best = { token: 'Pa', logprob: -0.1, bytes: [80, 97] }
    expect(events[0]).toMatchObject({
      logprobs: [{ ...best, top_logprobs: [best, { token: 'Ro', logprob: -2, bytes: [82, 111] }] }],
    })
    expect(done.reason).toBe('length')
    expect(server.asked('POST /generate')[0]).toMatchObject({ return_logprob: true, top_logprobs_num: 2 })
  })

  it('refuses within its stream, and tells its load', async () => {
    const message =
      "Requested token count exceeds the model's maximum context length of 128 tokens. You requested a total of 200 tokens"
    const { instance } = await attached({
      'POST /generate': { events: [{ error: { message } }, 'DONE'] },
      'GET /metrics': {
        text: 'sglang:num_running_reqs{model_name="q"} 2.0\nsglang:num_queue_reqs 1\nsglang:token_usage 0.5\n',
      },
    })
    await expect(answerOf(instance)).rejects.toMatchObject({ code: 'context_exceeded' })
    await instance.ping(never)
    expect(instance.load().server).toEqual({ running: 2, waiting: 1, kvCacheUsed: 0.5 })
  })
})

describe('the launch line of SGLang', () => {
  const spec = (changes: Partial<InstanceSpec> = {}) =>
    specOf('/models/qwen', { contextLength: 4096, ...changes })

  it('names model, place, context, slots and how it is divided', () => {
    const parallel = { tensor: 2, pipeline: 2, data: 1, stageLayers: [20, 12] }
    const line = launchLine(spec({ parallel, kvCacheType: 'q8_0' }), undefined, {
      host: '127.0.0.1',
      port: 5,
    })
    expect(line.join(' ')).toBe(
      '--model-path /models/qwen --served-model-name contract --host 127.0.0.1 --port 5 --context-length 4096 ' +
        '--max-running-requests 4 --tp-size 2 --pp-size 2 --kv-cache-dtype fp8_e5m2 --enable-metrics ' +
        '--enable-cache-report --incremental-streaming-output',
    )
  })

  it('has of flags that not every release knows those that this one does', () => {
    const flags = new Set(['--stream-output'])
    const line = launchLine(spec({ embedding: true }), { flags }, { host: '127.0.0.1', port: 5 })
    expect(line.slice(-2)).toEqual(['--is-embedding', '--stream-output'])
  })

  it('is one for each machine of a group', () => {
    const nodes = [
      { node: 'a', address: '10.0.0.1', env: { CUDA_VISIBLE_DEVICES: 'GPU-1' } },
      { node: 'b', address: '10.0.0.2', networkInterface: 'eth1' },
    ]
    const commands = sglangCommands(spec({ parallel: { tensor: 4, pipeline: 1, data: 1, nodes } }), undefined)
    expect(commands.map(({ node, env }) => ({ node, env }))).toEqual([
      { node: 'a', env: { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: 'GPU-1' } },
      {
        node: 'b',
        env: { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', NCCL_SOCKET_IFNAME: 'eth1', GLOO_SOCKET_IFNAME: 'eth1' },
      },
    ])
    const [, second] = commands.map(({ argv }) => argv.join(' '))
    expect(second).toContain('-m sglang.launch_server --model-path /models/qwen')
    expect(second).toContain('--tp-size 4 --nnodes 2 --node-rank 1 --dist-init-addr 10.0.0.1:50000')
  })

  it('refuses what SGLang cannot do', () => {
    const refused = (changes: Partial<InstanceSpec>) => () =>
      launchLine(spec(changes), undefined, { host: '', port: 1 })
    expect(refused({ kvCacheType: 'q4_0' })).toThrow('SGLang keeps no KV cache of q4_0')
    expect(refused({ adapterPaths: ['/a'] })).toThrow('adapters are not given to SGLang')
  })
})

it('what SGLang took is read from its lines, one of each rank', () => {
  const log = [0, 1]
    .map(
      (rank) =>
        `[TP${rank}] Load weight end. type=Qwen2, dtype=torch.bfloat16, avail mem=6.12 GB, mem usage=14.00 GB.\n` +
        `[TP${rank}] KV Cache is allocated. #tokens: 20480, K size: 1.50 GB, V size: 1.50 GB`,
    )
    .join('\n')
  expect(sglangMemory(log, 2)).toEqual({ vramBytes: 34 * 2 ** 30, hostBytes: 0 })
})
