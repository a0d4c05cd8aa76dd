import { describe, expect, it } from 'vitest'
import type { Device } from '../../hardware/index.ts'
import { findFamous } from '../famous.ts'
import { specOfPlan } from '../instance-spec.ts'
import { planModel } from '../planner/index.ts'
import type { WorkerDevice } from '../worker-devices.ts'
import { inventoryWithLent } from './lent.ts'
import type { FoundMachine } from './machine.ts'

const gib = 2 ** 30

function worker(id: string, memoryGib: number, more: Partial<WorkerDevice>): WorkerDevice {
  const memoryTotalBytes = memoryGib * gib
  const device: Device = {
    id,
    vendor: id.includes('CPU') || id.startsWith('cpu') ? 'cpu' : 'other',
    kind: 'discrete',
    name: id,
    state: 'ok',
    sources: ['test'],
    memoryTotalBytes,
    unifiedMemory: false,
    facts: { tflops: {}, supports: {} },
  }
  return {
    id,
    device,
    kind: 'cpu',
    memoryTotalBytes,
    memoryFreeBytes: memoryTotalBytes,
    settings: {},
    fallback: false,
    ...more,
  }
}

const lent = (address: string, name: string, memoryGib: number, position = 0) =>
  worker(`rpc:${address}/${name}`, memoryGib, { kind: 'rpc', engineName: name, rpc: { address, position } })

const machine = (devices: WorkerDevice[], more: Partial<FoundMachine> = {}): FoundMachine => ({
  node: 'here',
  devices,
  links: [],
  engines: ['llama.cpp'],
  rpc: false,
  host: { usableBytes: 3 * gib, cores: 4 },
  ...more,
})

const cpu = worker('cpu:0', 3, {})
const devices = [cpu, lent('10.0.0.2:50052', 'CPU', 4), lent('10.0.0.3:4000', 'CUDA0', 6)]

describe('the inventory of a machine that others lend devices', () => {
  it('has each of those as a node by its address, with its devices and no memory or engine of its own', () => {
    const { nodes, devices: all } = inventoryWithLent(
      machine([...devices, lent('10.0.0.3:4000', 'CUDA1', 6, 1)], {
        usableBytes: ({ memoryTotalBytes }) => memoryTotalBytes / 2,
        degraded: (id) => id.endsWith('CUDA1'),
      }),
    )
    expect(nodes.map(({ id, address, engines, rpc }) => [id, address, engines.length, rpc])).toEqual([
      ['here', undefined, 1, false],
      ['10.0.0.2:50052', '10.0.0.2:50052', 0, true],
      ['10.0.0.3:4000', '10.0.0.3:4000', 0, true],
    ])
    expect(
      all.map(({ node, engineName, backend, usableBytes, degraded = false }) => [
        node,
        engineName,
        backend,
        usableBytes / gib,
        degraded,
      ]),
    ).toEqual([
      ['10.0.0.2:50052', 'CPU', 'cpu', 2, false],
      ['10.0.0.3:4000', 'CUDA0', 'cuda', 3, false],
      ['10.0.0.3:4000', 'CUDA1', 'cuda', 3, true],
    ])
  })

  it('has the ways to them as they were measured, the usual one where they were not, and those between them', () => {
    const far = { ...lent('10.0.0.2:50052', 'CPU', 4) }
    const network = { roundTripMs: 2, bytesPerS: 50e6 }
    const measured = { ...far, rpc: { address: '10.0.0.2:50052', position: 0, network } }
    const { links } = inventoryWithLent(machine([cpu, measured, lent('10.0.0.3:4000', 'CUDA0', 6)]))
    expect(links).toEqual([
      { a: 'here', b: '10.0.0.2:50052', class: 'lan', bytesPerS: 50e6, latencyS: 0.001 },
      { a: 'here', b: '10.0.0.3:4000', class: 'lan', bytesPerS: 117e6, latencyS: 150e-6 },
      {
        a: '10.0.0.2:50052',
        b: '10.0.0.3:4000',
        class: 'lan',
        bytesPerS: expect.closeTo(35.03e6, -5),
        latencyS: expect.closeTo(0.00115),
      },
    ])
  })

  it('has none of them where no engine can use them', () => {
    expect(inventoryWithLent(machine(devices, { engines: ['ollama'] }))).toMatchObject({
      nodes: [{ id: 'here' }],
      devices: [],
    })
  })

  it('is planned over, and the engine is told where the devices are reached', () => {
    const model = findFamous('llama3.1:8b')
    if (!model) throw new Error('a well-known model is not known')
    const inventory = inventoryWithLent(machine(devices))
    const result = planModel(model, inventory, { strategy: 'pipeline', contextLength: 4096, slots: 1 })
    const instance = result.ok ? result.plans[0].instances[0] : undefined
    if (!instance) throw new Error(result.ok ? 'a plan has no instance' : result.message)
    const remote = instance.parts.filter((part) => part.remote).map(({ node }) => node)
    expect(remote).toContain('10.0.0.3:4000')
    const spec = specOfPlan(instance, inventory, {
      id: 'a',
      modelName: 'a',
      modelPath: 'a.gguf',
      projectorPaths: [],
      adapterPaths: [],
      embedding: false,
      flashAttention: 'auto',
      contextShift: true,
      stallTimeoutMs: 1000,
    })
    expect(spec.rpcWorkers).toEqual([...new Set(remote)])
    expect(spec.split?.devices.filter((name) => name.startsWith('RPC'))).toHaveLength(remote.length)
  })
})
