import { describe, expect, it } from 'vitest'
import type { Device } from '../../hardware/index.ts'
import type { WorkerDevice } from '../../placement/index.ts'
import { chooseDevices } from './choose-devices.ts'

function worker(kind: 'gpu' | 'cpu', id: string, more: Partial<Device> = {}): WorkerDevice {
  const device: Device = {
    id,
    vendor: kind === 'cpu' ? 'cpu' : 'nvidia',
    kind: kind === 'cpu' ? 'cpu' : 'discrete',
    name: `a ${kind}`,
    state: 'ok',
    sources: [],
    memoryTotalBytes: 1,
    unifiedMemory: false,
    facts: { tflops: {}, supports: {} },
    ...more,
  }
  return { id, device, kind, memoryTotalBytes: 1, memoryFreeBytes: 1, settings: {}, fallback: false }
}

const devices = [
  worker('gpu', 'GPU-aaaa', { index: 0, uuid: 'GPU-aaaa', pciAddress: '0000:3b:00.0' }),
  worker('gpu', 'GPU-bbbb', { index: 1, uuid: 'GPU-bbbb' }),
  worker('cpu', 'cpu:0', { cores: [0] }),
]
const labels = new Map([
  ['GPU-aaaa', 'GPU0'],
  ['GPU-bbbb', 'GPU1'],
  ['cpu:0', 'CPU0'],
])
const idsFor = (...names: string[]) => chooseDevices(devices, names, labels).map(({ id }) => id)

describe('the devices to measure', () => {
  it('are all where none is named', () => {
    expect(chooseDevices(devices, undefined, labels)).toEqual(devices)
  })

  it.each([
    ['a label of the tables', 'gpu1', ['GPU-bbbb']],
    ['an id', 'GPU-AAAA', ['GPU-aaaa']],
    ['a number', '1', ['GPU-bbbb']],
    ['a PCI address', '3b:00.0', ['GPU-aaaa']],
    ['all GPUs', 'gpus', ['GPU-aaaa', 'GPU-bbbb']],
    ['cores', 'cpu:0', ['cpu:0']],
    ['the CPU, however it is cut', 'cpu', ['cpu:0']],
  ])('are those that %s means', (_what, name, ids) => {
    expect(idsFor(name)).toEqual(ids)
  })

  it('are each measured once, in their own order', () => {
    expect(idsFor('cpu:0', '1', 'gpus')).toEqual(['GPU-aaaa', 'GPU-bbbb', 'cpu:0'])
  })

  it('are refused by name when there is no such device, with those that there are', () => {
    expect(() => idsFor('1', 'GPU-cccc')).toThrow(
      'there is no device "GPU-cccc" to measure; there are: GPU0 (GPU-aaaa), GPU1 (GPU-bbbb), CPU0 (cpu:0)',
    )
  })
})
