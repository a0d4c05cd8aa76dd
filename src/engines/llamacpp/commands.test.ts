import { describe, expect, it } from 'vitest'
import { specOf } from '../../../test/support/engine-contract/bench.ts'
import { commandsOf } from './commands.ts'

const spec = specOf('/m.gguf', {
  gpuLayers: 'auto',
  rpcWorkers: ['10.0.0.2:50052', '[fd00::3]:4000'],
  split: { mode: 'layer', devices: ['CUDA0', 'RPC0', 'RPC1'], weights: [10, 12, 11] },
  hostExperts: [0, 1],
  draft: { modelPath: '/d.gguf', device: 'CUDA0', mostTokens: 4 },
  env: { CUDA_VISIBLE_DEVICES: '0' },
})

describe('the commands of an instance', () => {
  it('are its workers, each on its node, and the server that reaches them by tunnels', () => {
    const [first, second, server, ...more] = commandsOf(spec, undefined, { rpcKeyFile: '/k' })
    expect(more).toEqual([])
    expect(first).toEqual({
      node: '10.0.0.2',
      env: {},
      argv: ['drover', 'rpc-worker', '--listen', '0.0.0.0:50052', '--key-file', '/k'],
    })
    expect(second).toMatchObject({ node: 'fd00::3' })
    expect(server?.env).toEqual({ GGML_NO_BACKTRACE: '1', CUDA_VISIBLE_DEVICES: '0' })
    const line = server?.argv.join(' ')
    expect(line).toMatch(
      /^llama-server --model \/m\.gguf --host 127\.0\.0\.1 --port 8080 -c 2048 -np 4 -t 1 /,
    )
    expect(line).toContain(
      '--rpc 127.0.0.1:50052,127.0.0.1:50053 --n-gpu-layers 33 --device CUDA0,RPC0,RPC1 --split-mode layer ' +
        '--tensor-split 10,12,11 --fit off --n-cpu-moe 2 ',
    )
    expect(line).toContain(
      '--spec-draft-model /d.gguf --spec-type draft-simple --spec-draft-device CUDA0 --spec-draft-ngl 999 ' +
        '--spec-draft-n-max 4',
    )
    expect(server?.node).toBeUndefined()
  })

  it('tell a worker what it has to lend where it would not do so unasked', () => {
    const [first, second] = commandsOf({ ...spec, rpcDevices: [undefined, ['CUDA0', 'CPU']] }, undefined, {})
    expect(first?.argv).not.toContain('--device')
    expect(second?.argv.slice(-2)).toEqual(['--device', 'CUDA0,CPU'])
  })

  it('reach workers on this machine as they are, without a key', () => {
    const own = { ...spec, rpcWorkers: ['127.0.0.1:50052', '127.0.0.1:50053'] }
    const [worker, , server] = commandsOf(own, undefined, {})
    expect(worker?.argv).toEqual(['ggml-rpc-server', '-H', '127.0.0.1', '-p', '50052', '-c'])
    expect(server?.argv.join(' ')).toContain('--rpc 127.0.0.1:50052,127.0.0.1:50053')
  })
})
