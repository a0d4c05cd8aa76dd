import { expect, it } from 'vitest'
import { namesIn } from './device-names.ts'

it('devices of workers are numbered through, and within their worker in lines about buffers', () => {
  const listing = `Available devices:
  CUDA0: NVIDIA GeForce RTX 3090 (24124 MiB, 23800 MiB free)
  RPC0: 127.0.0.1:50052 (24105 MiB, 24105 MiB free)
  RPC1: 127.0.0.1:50052 (8105 MiB, 8105 MiB free)
  RPC2: 127.0.0.1:50053 (24105 MiB, 24105 MiB free)`
  const names = namesIn(listing)
  expect(Object.fromEntries(names.arguments)).toEqual({ RPC0: 'RPC0', RPC1: 'RPC1', RPC2: 'RPC2' })
  const log = ['RPC0[127.0.0.1:50052]', 'RPC1[127.0.0.1:50052]', 'RPC0[127.0.0.1:50053]', 'CUDA0'].join(
    ' KV\n',
  )
  expect(names.inSpecsWords(log)).toBe('RPC0 KV\nRPC1 KV\nRPC2 KV\nCUDA0')
})

it('older builds name them by their address everywhere', () => {
  const names = namesIn(`  RPC[10.0.0.1:50052]: RPC[10.0.0.1:50052] (24105 MiB, 24105 MiB free)
  RPC[10.0.0.2:50052]: RPC[10.0.0.2:50052] (24105 MiB, 24105 MiB free)`)
  expect([...names.arguments.values()]).toEqual(['RPC[10.0.0.1:50052]', 'RPC[10.0.0.2:50052]'])
  expect(names.inSpecsWords('RPC[10.0.0.2:50052] model buffer')).toBe('RPC1 model buffer')
})
