import { describe, expect, it } from 'vitest'
import type { InstanceSpec } from '../contract.ts'
import { launchLine } from './launch-line.ts'
import type { ServerFacts } from './probe.ts'

const spec: InstanceSpec = {
  id: 'i1',
  modelName: 'm',
  modelPath: '/m.gguf',
  projectorPaths: [],
  adapterPaths: [],
  contextLength: 4096,
  slots: 3,
  embedding: false,
  gpuLayers: 'auto',
  flashAttention: 'auto',
  kvCacheType: 'f16',
  contextShift: true,
  stallTimeoutMs: 1000,
}

const oldServer: ServerFacts = {
  path: '/old',
  version: '3000',
  flags: new Set(['--help']),
  devices: [],
  flashAttentionTakesValue: false,
  gpuLayersTakesAuto: false,
  adaptersByComma: false,
  unixSockets: false,
  splitsTensors: false,
  draftTypeNamed: false,
  apiKeyFromEnvironment: false,
}
const newServer: ServerFacts = {
  ...oldServer,
  flags: new Set(
    '--no-webui --offline --slots --metrics --log-verbosity --no-log-prefix --no-jinja --chat-template --cache-ram --no-cache-idle-slots --context-shift --no-context-shift --load-mode --device --fit --mmproj --pooling'.split(
      ' ',
    ),
  ),
  flashAttentionTakesValue: true,
  gpuLayersTakesAuto: true,
  adaptersByComma: true,
}
const gpu = { name: 'CUDA0', description: '', totalBytes: 1, freeBytes: 1 }

function line(server: ServerFacts, changes: Partial<InstanceSpec> = {}): string {
  const options = { endpoint: { socketPath: '/run/e.sock' }, threads: 5, cacheRamMib: 64 }
  return launchLine({ ...spec, ...changes }, server, options).join(' ')
}

describe('the launch line', () => {
  it('names the folder of sessions where there is one, the server can, and it generates', () => {
    const able = { ...newServer, flags: new Set([...newServer.flags, '--slot-save-path']) }
    expect(line(able, { sessionDir: '/s' })).toContain('--slot-save-path /s')
    expect(line(able)).not.toContain('--slot-save-path')
    expect(line(able, { sessionDir: '/s', embedding: true })).not.toContain('--slot-save-path')
    expect(line(newServer, { sessionDir: '/s' })).not.toContain('--slot-save-path')
  })

  it('gives the whole context of all slots, and only flags that the help names', () => {
    expect(line(oldServer)).toBe('--model /m.gguf --host /run/e.sock -c 12288 -np 3 -t 5')
    expect(line(newServer)).toBe(
      '--model /m.gguf --host /run/e.sock -c 12288 -np 3 -t 5 --no-webui --offline --slots --metrics ' +
        '--log-verbosity 4 --no-log-prefix --no-jinja --chat-template chatml --cache-ram 64 ' +
        '--no-cache-idle-slots --context-shift --fit off --flash-attn auto',
    )
  })

  it('names a port on the loopback where there is no socket, and never the key', () => {
    const args = launchLine(spec, oldServer, {
      endpoint: { port: 4711 },
      threads: 1,
      cacheRamMib: 0,
      apiKeyFile: '/run/key',
    })
    expect(args.join(' ')).toContain('--host 127.0.0.1 --port 4711 --api-key-file /run/key')
  })

  it('spells flash attention, memory mapping and automatic layers as the version has them', () => {
    expect(line(newServer, { flashAttention: 'off', useMmap: false })).toContain(
      '--flash-attn off --load-mode none',
    )
    expect(line(oldServer, { flashAttention: 'on', useMmap: false })).toMatch(/--flash-attn --no-mmap$/)
    expect(line(oldServer, { flashAttention: 'off', useMmap: true })).not.toMatch(/flash|mmap/)
    expect(line({ ...oldServer, devices: [gpu] })).toContain('--n-gpu-layers 999')
    expect(line({ ...newServer, devices: [gpu] })).not.toMatch(/gpu-layers|--fit/)
  })

  it('keeps off the GPUs altogether with no layers', () => {
    expect(line({ ...newServer, devices: [gpu] }, { gpuLayers: 0 })).toContain(
      '--n-gpu-layers 0 --device none --fit off',
    )
  })

  it('quantises keys and values alike', () => {
    expect(line(newServer, { kvCacheType: 'q8_0' })).toContain('--cache-type-k q8_0 --cache-type-v q8_0')
    const without = line(newServer, { kvCacheType: 'iq4_nl', flashAttention: 'off' })
    expect(without).toContain('--cache-type-k iq4_nl')
    expect(without).not.toContain('--cache-type-v')
    expect(line(newServer, { kvCacheType: 'bf16', flashAttention: 'off' })).toContain('--cache-type-v bf16')
  })

  it('lets an embedding input fill the context in one batch', () => {
    // As many inputs for each of the three slots.
    expect(line(newServer, { embedding: true })).toMatch(/-b 4098 -ub 4098 --embedding$/)
    expect(line(newServer, { embedding: true, slots: 1 })).toMatch(/-b 4096 -ub 4096 --embedding$/)
    expect(line(newServer, { embedding: true, batchSize: 512 })).toContain('-b 513 -ub 513')
  })

  it('passes adapters joined or repeated, and one projector', () => {
    const adapterPaths = ['/a.gguf', '/b,c.gguf']
    expect(line(newServer, { adapterPaths })).toContain('--lora /a.gguf,"/b,c.gguf"')
    expect(line(oldServer, { adapterPaths })).toContain('--lora /a.gguf --lora /b,c.gguf')
    expect(line(newServer, { projectorPaths: ['/p.gguf'] })).toContain('--mmproj /p.gguf')
    expect(() => line(newServer, { projectorPaths: ['/p', '/q'] })).toThrow('takes one projector, m has 2')
  })

  const splitServer = {
    ...newServer,
    splitsTensors: true,
    flags: new Set([
      ...newServer.flags,
      ...'--split-mode --tensor-split --rpc --n-cpu-moe --override-tensor'.split(' '),
    ]),
    devices: [gpu],
  }
  const layers = { mode: 'layer', devices: ['CUDA0', 'CUDA1'], weights: [20, 13] } as const

  it('divides layers over devices in their order, with as many offloaded as are divided', () => {
    expect(line(splitServer, { split: layers })).toContain(
      '--n-gpu-layers 33 --device CUDA0,CUDA1 --split-mode layer --tensor-split 20,13 --fit off',
    )
    expect(line(splitServer, { split: layers, gpuLayers: 10 })).toContain(
      '--n-gpu-layers 10 --device CUDA0,CUDA1',
    )
  })

  it('puts a model on one device, and rows on several, counted from the first', () => {
    const none = { mode: 'none', devices: ['CUDA1'], weights: [33] } as const
    expect(line(splitServer, { split: none })).toContain(
      '--n-gpu-layers 999 --device CUDA1 --split-mode none --main-gpu 0 --fit off',
    )
    const row = { ...layers, mode: 'row', weights: [3, 2] } as const
    expect(line(splitServer, { split: row })).toContain('--split-mode row --tensor-split 3,2 --main-gpu 0')
    const tensor = { ...layers, mode: 'tensor', weights: [1, 1] } as const
    expect(line(splitServer, { split: tensor })).toContain(
      '--n-gpu-layers 999 --device CUDA0,CUDA1 --split-mode tensor --tensor-split 1,1 --fit off',
    )
    expect(() => line({ ...splitServer, splitsTensors: false }, { split: tensor })).toThrow(
      '/old 3000 has no --split-mode tensor',
    )
  })

  it('says what an old server lacks for a split', () => {
    expect(() => line(oldServer, { split: layers })).toThrow(
      '/old 3000 cannot do a split over chosen devices: its help names no --device',
    )
    expect(() => line(oldServer, { rpcWorkers: ['h:1'] })).toThrow('workers of other machines')
    expect(() => line(oldServer, { hostExperts: [0] })).toThrow('no --override-tensor')
    expect(() => line(oldServer, { draft: { modelPath: '/d' } })).toThrow(
      'no --spec-draft-model or --model-draft',
    )
  })

  it('reaches workers by their tunnels, and calls their devices as the server does', () => {
    const args = launchLine(
      {
        ...spec,
        rpcWorkers: ['a:1', 'b:2'],
        split: { mode: 'layer', devices: ['RPC0', 'RPC1'], weights: [2, 3] },
      },
      splitServer,
      {
        endpoint: { port: 1 },
        threads: 1,
        cacheRamMib: 0,
        rpcEndpoints: ['127.0.0.1:7', '127.0.0.1:8'],
        deviceNames: new Map([
          ['RPC0', 'RPC[127.0.0.1:7]'],
          ['RPC1', 'RPC[127.0.0.1:8]'],
        ]),
      },
    ).join(' ')
    expect(args).toContain('--rpc 127.0.0.1:7,127.0.0.1:8')
    expect(args).toContain('--device RPC[127.0.0.1:7],RPC[127.0.0.1:8]')
    const own = line({ ...splitServer, devices: [] }, { rpcWorkers: ['127.0.0.1:7'] })
    expect(own).toContain('--rpc 127.0.0.1:7')
    // The server is to find out what fits on the workers.
    expect(own).not.toContain('--fit')
  })

  it('keeps the experts of the first layers on the host by their number, of others by their names', () => {
    expect(line(splitServer, { hostExperts: [1, 0, 2] })).toContain('--n-cpu-moe 3')
    const some = line(splitServer, { hostExperts: [30, 5] })
    expect(some).toContain('--override-tensor blk\\.(5|30)\\.ffn_.*exps=CPU')
    const pattern = new RegExp(/--override-tensor (\S+)=CPU/.exec(some)?.[1] ?? '')
    expect(pattern.test('blk.5.ffn_gate_up_exps.weight')).toBe(true)
    expect(pattern.test('blk.30.ffn_down_chexps.weight')).toBe(true)
    expect(pattern.test('blk.15.ffn_down_exps.weight')).toBe(false)
    expect(pattern.test('blk.5.ffn_down_shexp.weight')).toBe(false)
    const { flags } = splitServer
    const without = { ...splitServer, flags: new Set([...flags].filter((flag) => flag !== '--n-cpu-moe')) }
    expect(line(without, { hostExperts: [0, 1] })).toContain('--override-tensor blk\\.(0|1)')
  })

  it('names a draft model as the version spells it', () => {
    const draft = { modelPath: '/d.gguf', device: 'CUDA1', mostTokens: 6 }
    const newest = {
      ...splitServer,
      draftTypeNamed: true,
      flags: new Set(
        '--spec-draft-model --model-draft --spec-draft-device --device-draft --spec-draft-ngl --spec-draft-n-max --draft-max'.split(
          ' ',
        ),
      ),
    }
    expect(line(newest, { draft })).toContain(
      '--spec-draft-model /d.gguf --spec-type draft-simple --spec-draft-device CUDA1 --spec-draft-ngl 999 --spec-draft-n-max 6',
    )
    const older = {
      ...oldServer,
      flags: new Set('--model-draft --device-draft --n-gpu-layers-draft --draft-max'.split(' ')),
    }
    expect(line(older, { draft })).toContain(
      '--model-draft /d.gguf --device-draft CUDA1 --n-gpu-layers-draft 999 --draft-max 6',
    )
    expect(line(older, { draft: { ...draft, device: 'cpu' } })).toContain(
      '--device-draft none --n-gpu-layers-draft 0',
    )
    expect(line(older, { draft: { modelPath: '/d' }, gpuLayers: 0 })).toMatch(
      /--model-draft \/d --n-gpu-layers-draft 0$/,
    )
  })
})
