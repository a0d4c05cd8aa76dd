import { describe, expect, it } from 'vitest'
import type { Device } from '../../hardware/index.ts'
import { devicesNamed, usableGpus } from './unit-devices.ts'

const device = (changes: Partial<Device>): Device => ({
  id: 'GPU-a',
  vendor: 'nvidia',
  kind: 'discrete',
  name: 'card',
  state: 'ok',
  sources: [],
  memoryTotalBytes: 1,
  unifiedMemory: false,
  facts: { tflops: {}, supports: {} },
  ...changes,
})
const found = [
  device({ uuid: 'GPU-a', index: 0, pciAddress: '0000:01:00.0' }),
  device({ id: 'pci:0000:03:00.0', vendor: 'amd', pciAddress: '0000:03:00.0', index: 1 }),
  device({ id: 'cpu:0', vendor: 'cpu', kind: 'cpu', index: 2 }),
]

describe('the devices of units', () => {
  it('are found by id, UUID, PCI address and number', () => {
    const names = ['gpu-a', '0000:03:00.0', 'pci:0000:03:00.0', '1', '0']
    expect(devicesNamed(names, found).map(({ id }) => id)).toEqual([
      'GPU-a',
      'pci:0000:03:00.0',
      'pci:0000:03:00.0',
      'pci:0000:03:00.0',
      'GPU-a',
    ])
  })

  it('of another machine tell their vendor by their form', () => {
    const uuid = 'GPU-5a1b0f02-1c2d-3e4f-8091-a2b3c4d5e6f7'
    const names = [
      uuid,
      uuid.replace('GPU', 'MIG'),
      '0x00c0ffee00c0ffee',
      'GPU-00c0ffee00c0ffee',
      'amd:1',
      'intel:0',
      'vulkan:2',
    ]
    const vendors = devicesNamed(names, []).map(({ vendor }) => vendor)
    expect(vendors).toEqual(['nvidia', 'nvidia', 'amd', 'amd', 'amd', 'intel', 'other'])
    expect(devicesNamed(['vulkan:2'], [])).toEqual([{ id: 'vulkan:2', vendor: 'other', index: 2 }])
  })

  it('that do not exist are refused with what there is', () => {
    for (const name of ['7', 'cpu:0', '2', 'constructor:1', 'GPU-zzz']) {
      expect(() => devicesNamed([name], found)).toThrow(/names no device\. There are: GPU-a, /)
    }
  })

  it('where none are named are those that take work', () => {
    const lost = device({ id: 'GPU-lost', state: 'lost' })
    const cut = device({ id: 'GPU-cut', partitioned: true })
    expect(usableGpus([...found, lost, cut]).map(({ id }) => id)).toEqual(['GPU-a', 'pci:0000:03:00.0'])
  })
})
