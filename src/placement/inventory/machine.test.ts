import { describe, expect, it } from 'vitest'
import { buildTopology, type Device } from '../../hardware/index.ts'
import type { WorkerDevice } from '../worker-devices.ts'
import { inventoryOf } from './machine.ts'

const gib = 2 ** 30

function worker(id: string, changes: Partial<Device> = {}, more: Partial<WorkerDevice> = {}): WorkerDevice {
  const device: Device = {
    id,
    vendor: 'nvidia',
    kind: 'discrete',
    name: 'NVIDIA GeForce RTX 3090',
    state: 'ok',
    sources: ['test'],
    memoryTotalBytes: 24 * gib,
    unifiedMemory: false,
    computeCapability: '8.6',
    numaNode: 0,
    facts: {
      bandwidthGBs: { value: 936, from: 'table' },
      tflops: { fp16: { value: 71, from: 'table' } },
      tdpWatts: { value: 350, from: 'table' },
      supports: {},
      pcie: { generation: 4, width: 16 },
    },
    ...changes,
  }
  return {
    id,
    device,
    kind: 'gpu',
    memoryTotalBytes: 24 * gib,
    memoryFreeBytes: 20 * gib,
    settings: {},
    fallback: false,
    ...more,
  }
}

const cpu = worker(
  'cpu:0',
  {
    vendor: 'cpu',
    kind: 'cpu',
    name: 'CPU',
    facts: { tflops: {}, supports: {}, bandwidthGBs: { value: 51, from: 'measured' } },
  },
  { kind: 'cpu' },
)
const devices = [
  worker('GPU-a', {}, { engineName: 'CUDA0', settings: { watts: 250, labels: { room: 'lab' } } }),
  worker('GPU-b', {
    facts: {
      tflops: { fp16: { value: 71, from: 'table' } },
      supports: {},
      bandwidthGBs: { value: 800, from: 'measured' },
    },
  }),
  worker(
    'pci:1',
    { vendor: 'other', name: 'Unheard of', facts: { tflops: {}, supports: {} } },
    { engineName: 'Vulkan1' },
  ),
  cpu,
]
const found = {
  node: 'here',
  devices,
  links: buildTopology(
    devices.map(({ device }) => device),
    [{ a: 'GPU-a', b: 'GPU-b', class: 'nvlink' as const, label: 'NV4', links: 4 }],
  ).links,
  engines: ['llama.cpp' as const],
  rpc: false,
  host: { usableBytes: 50 * gib, cores: 8 },
}

describe('the inventory of a machine', () => {
  it('has each GPU with what was measured, else what the table says, else what is usual', () => {
    const [a, b, c, ...others] = inventoryOf(found).devices
    expect(others).toEqual([])
    expect(a).toMatchObject({
      id: 'GPU-a',
      engineName: 'CUDA0',
      memoryBytesPerS: 936e9,
      flopsPerS: 71e12,
      watts: 250,
      labels: { room: 'lab' },
    })
    expect(a?.measured).toBeUndefined()
    // Half of the peak: what is measured is not derated once more, and the FLOPS were not measured.
    expect(b).toMatchObject({ memoryBytesPerS: 800e9, flopsPerS: 35.5e12, measured: true })
    expect(c).toMatchObject({ backend: 'vulkan', memoryBytesPerS: 200e9 })
  })

  it('has the host, and the links between its GPUs only', () => {
    const { nodes, links } = inventoryOf(found)
    expect(nodes).toEqual([
      {
        id: 'here',
        usableBytes: 50 * gib,
        memoryBytesPerS: 51e9,
        flopsPerS: 240e9,
        engines: ['llama.cpp'],
        rpc: false,
      },
    ])
    expect(links.find(({ class: name }) => name === 'nvlink')).toMatchObject({
      a: 'GPU-a',
      b: 'GPU-b',
      bytesPerS: 56.25e9,
    })
    expect(links.some(({ a, b }) => a === 'cpu:0' || b === 'cpu:0')).toBe(false)
  })

  it('is what the caller says is free, and marks what is slowed down', () => {
    const now = inventoryOf({
      ...found,
      usableBytes: ({ memoryFreeBytes }) => memoryFreeBytes / 2,
      degraded: (id) => id === 'GPU-b',
    })
    expect(now.devices.map(({ usableBytes, degraded = false }) => [usableBytes / gib, degraded])).toEqual([
      [10, false],
      [10, true],
      [10, false],
    ])
  })
})
