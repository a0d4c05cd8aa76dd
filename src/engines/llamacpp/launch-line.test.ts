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
  apiKeyFromEnvironment: false,
}
const newServer: ServerFacts = {
  ...oldServer,
  flags: new Set(
    '--no-webui --offline --slots --metrics --log-verbosity --no-log-prefix --no-jinja --chat-template --cache-ram --context-shift --no-context-shift --load-mode --device --fit --mmproj --pooling'.split(
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
        '--log-verbosity 4 --no-log-prefix --no-jinja --chat-template chatml --cache-ram 64 --context-shift ' +
        '--fit off --flash-attn auto',
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
  })

  it('lets an embedding input fill the context in one batch', () => {
    expect(line(newServer, { embedding: true })).toMatch(/-b 4096 -ub 4096 --embedding$/)
    expect(line(newServer, { embedding: true, batchSize: 512 })).toContain('-b 512 -ub 512')
  })

  it('passes adapters joined or repeated, and one projector', () => {
    const adapterPaths = ['/a.gguf', '/b,c.gguf']
    expect(line(newServer, { adapterPaths })).toContain('--lora /a.gguf,"/b,c.gguf"')
    expect(line(oldServer, { adapterPaths })).toContain('--lora /a.gguf --lora /b,c.gguf')
    expect(line(newServer, { projectorPaths: ['/p.gguf'] })).toContain('--mmproj /p.gguf')
    expect(() => line(newServer, { projectorPaths: ['/p', '/q'] })).toThrow('takes one projector, m has 2')
  })
})
