import { describe, expect, it } from 'vitest'
import { specOf } from '../../../test/support/engine-contract/bench.ts'
import type { InstanceSpec } from '../contract.ts'
import { kvEventsOf, launchLine, vllmCommands } from './launch-line.ts'
import { vllmMemory } from './log.ts'
import { vllmVersion } from './probe.ts'

const spec = (changes: Partial<InstanceSpec> = {}) =>
  specOf('/models/llama', { contextLength: 8192, ...changes })
const listen = { host: '127.0.0.1', port: 8001 }
const lineOf = (changes: Partial<InstanceSpec> = {}) => launchLine(spec(changes), undefined, listen).join(' ')

describe('the launch line of vLLM', () => {
  it('names model, place, context and slots', () => {
    expect(lineOf()).toBe(
      'serve /models/llama --served-model-name contract --host 127.0.0.1 --port 8001 --max-model-len 8192 ' +
        '--max-num-seqs 4 --enable-prefix-caching',
    )
  })

  it('divides as it is told, over cards, stages and copies', () => {
    const parallel = { tensor: 4, pipeline: 2, data: 3 }
    expect(lineOf({ parallel })).toContain(
      '--tensor-parallel-size 4 --pipeline-parallel-size 2 --data-parallel-size 3',
    )
    expect(lineOf({ parallel: { tensor: 1, pipeline: 1, data: 1 } })).not.toContain('parallel')
  })

  it('embeds by the flag that the release has', () => {
    expect(lineOf({ embedding: true })).toMatch(/--runner pooling$/)
    const flags = new Set(['--task', '--disable-log-requests'])
    expect(launchLine(spec({ embedding: true }), { flags }, listen).slice(-3)).toEqual([
      '--task',
      'embed',
      '--disable-log-requests',
    ])
  })

  it('takes smaller KV caches, drafts, adapters and batches', () => {
    const line = launchLine(
      spec({
        kvCacheType: 'q8_0',
        batchSize: 2048,
        draft: { modelPath: '/models/small', mostTokens: 5 },
        adapterPaths: ['/lora'],
      }),
      { flags: new Set() },
      listen,
    )
    expect(line.slice(12)).toEqual([
      '--kv-cache-dtype',
      'fp8',
      '--max-num-batched-tokens',
      '2048',
      '--speculative-config',
      '{"method":"draft_model","model":"/models/small","num_speculative_tokens":5}',
      '--enable-lora',
      '--lora-modules',
      'adapter=/lora',
    ])
  })

  it('refuses what vLLM cannot do', () => {
    expect(() => lineOf({ kvCacheType: 'q4_0' })).toThrow('vLLM keeps no KV cache of q4_0')
    expect(() => lineOf({ adapterPaths: ['/a', '/b'] })).toThrow('one adapter to a request')
  })
})

describe('the events of its KV cache', () => {
  const facts = { flags: new Set(['--kv-events-config']), version: '0.21.0' }
  const of = (changes: Partial<InstanceSpec>, told: Partial<typeof facts> = {}, folder = '/run/a') =>
    kvEventsOf(spec(changes), { ...facts, ...told }, folder)

  it('are published on a socket of its own', () => {
    expect(of({ parallel: { tensor: 2, pipeline: 1, data: 1 } })).toEqual({
      endpoint: 'ipc:///run/a/kv-events',
      args: [
        '--kv-events-config',
        '{"enable_kv_cache_events":true,"publisher":"zmq","endpoint":"ipc:///run/a/kv-events","topic":""}',
      ],
    })
    expect(of({}, { version: '1.0.0rc1' })).toBeDefined()
  })

  it('are not asked for where they would cost something, or cannot be had', () => {
    expect(of({}, { version: '0.20.2' })).toBeUndefined()
    expect(of({}, { flags: new Set() })).toBeUndefined()
    expect(of({ embedding: true })).toBeUndefined()
    expect(of({ parallel: { tensor: 1, pipeline: 1, data: 2 } })).toBeUndefined()
    expect(of({}, {}, `/${'long'.repeat(30)}`)).toBeUndefined()
  })
})

describe('the processes of an instance of vLLM', () => {
  const nodes = [
    {
      node: 'left',
      address: '10.0.0.1',
      networkInterface: 'eth1',
      env: { CUDA_VISIBLE_DEVICES: 'GPU-1,GPU-2' },
    },
    { node: 'right', address: '10.0.0.2', env: { CUDA_VISIBLE_DEVICES: 'GPU-3,GPU-4' } },
  ]
  const group = { tensor: 2, pipeline: 2, data: 1, nodes }

  it('are one on a machine, with its devices and the layers of its stages', () => {
    const parallel = { tensor: 1, pipeline: 2, data: 1, stageLayers: [42, 38] }
    const env = { CUDA_VISIBLE_DEVICES: 'GPU-1,GPU-2' }
    expect(vllmCommands(spec({ parallel, env }), undefined)).toEqual([
      {
        env: {
          CUDA_VISIBLE_DEVICES: 'GPU-1,GPU-2',
          CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
          VLLM_NO_USAGE_STATS: '1',
          VLLM_PP_LAYER_PARTITION: '42,38',
        },
        argv: expect.arrayContaining(['vllm', 'serve', '--pipeline-parallel-size']),
      },
    ])
  })

  it('of a group are one a machine; only the first answers', () => {
    const commands = vllmCommands(spec({ parallel: group }), undefined)
    expect(commands.map(({ node }) => node)).toEqual(['left', 'right'])
    const [first, second] = commands.map(({ argv }) => argv.join(' '))
    expect(first).toContain('--host 10.0.0.1 --port 8000')
    expect(first).toContain('--nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --master-port 29501')
    expect(first).not.toContain('--headless')
    expect(second).toContain('--node-rank 1 --master-addr 10.0.0.1 --master-port 29501 --headless')
    expect(commands[0]?.env).toMatchObject({
      VLLM_HOST_IP: '10.0.0.1',
      NCCL_SOCKET_IFNAME: 'eth1',
      GLOO_SOCKET_IFNAME: 'eth1',
      CUDA_VISIBLE_DEVICES: 'GPU-1,GPU-2',
    })
  })

  it('of a group by Ray join its cluster, and the first serves in it', () => {
    const commands = vllmCommands(spec({ parallel: { ...group, launcher: 'ray' } }), undefined)
    expect(commands[0]?.argv.slice(0, 5)).toEqual([
      '/bin/sh',
      '-c',
      'ray start --head --port=6379 && exec "$0" "$@"',
      'vllm',
      'serve',
    ])
    expect(commands[0]?.argv.join(' ')).toContain('--distributed-executor-backend ray')
    expect(commands[1]).toMatchObject({
      node: 'right',
      argv: ['ray', 'start', '--address=10.0.0.1:6379', '--block'],
      env: { VLLM_HOST_IP: '10.0.0.2' },
    })
  })
})

it("vLLM's version stands alone, or behind words", () => {
  expect(vllmVersion('INFO 11-21 loading\n0.11.0\n')).toBe('0.11.0')
  expect(vllmVersion('vLLM API server version 0.6.1.post1\n')).toBe('0.6.1.post1')
  expect(vllmVersion('no such command')).toBeUndefined()
})

it('what vLLM took is read from its lines, whether one worker speaks or all', () => {
  const line = (rank: number) =>
    `(Worker_TP${rank} pid=9) INFO gpu_model_runner.py:2653] Model loading took 7.5000 GiB and 3.2 seconds\n` +
    `(Worker_TP${rank} pid=9) INFO gpu_worker.py:298] Available KV cache memory: 10.50 GiB\n`
  const expected = { vramBytes: 36 * 2 ** 30, hostBytes: 0 }
  expect(vllmMemory(line(0), 2)).toEqual(expected)
  expect(vllmMemory(line(0) + line(1), 2)).toEqual(expected)
  expect(vllmMemory('', 2)).toEqual({ vramBytes: 0, hostBytes: 0 })
})
