import { describe, expect, it } from 'vitest'
import type { HostSystem } from '../../hardware/index.ts'
import type { WorkerDevice } from '../../placement/index.ts'
import { cpuCacheBytes, isAboutAsLarge, modelBytesFor, modelBytesOf } from './model-size.ts'

function worker(kind: 'gpu' | 'cpu', memoryFreeBytes: number, bandwidthGBs?: number): WorkerDevice {
  return {
    id: 'x',
    kind,
    device: {
      id: 'x',
      vendor: 'other',
      kind: kind === 'cpu' ? 'cpu' : 'discrete',
      name: 'x',
      state: 'ok',
      sources: [],
      memoryTotalBytes: memoryFreeBytes,
      unifiedMemory: false,
      facts: {
        ...(bandwidthGBs !== undefined && { bandwidthGBs: { value: bandwidthGBs, from: 'table' } }),
        tflops: {},
        supports: {},
      },
    },
    memoryTotalBytes: memoryFreeBytes,
    memoryFreeBytes,
    settings: {},
    fallback: false,
  }
}

describe('the size of the synthetic model', () => {
  it('makes a token take a millisecond on a GPU, within what is soon written', () => {
    expect(modelBytesFor(worker('gpu', 24e9, 448))).toBe(448e6)
    expect(modelBytesFor(worker('gpu', 24e9, 100))).toBe(256e6)
    expect(modelBytesFor(worker('gpu', 80e9, 4800))).toBe(1000e6)
    expect(modelBytesFor(worker('gpu', 24e9))).toBe(384e6)
  })

  it('is smaller on a CPU, and takes a quarter of a small memory', () => {
    expect(modelBytesFor(worker('cpu', 64e9))).toBe(128e6)
    expect(modelBytesFor(worker('gpu', 800e6, 400))).toBe(200e6)
  })

  it('is what was asked for, unless that is no size', () => {
    expect(modelBytesOf('500MB')).toBe(500e6)
    expect(modelBytesOf('1GiB')).toBe(2 ** 30)
    for (const text of ['', 'large', '1MB', '65GB', '-5GB']) {
      expect(() => modelBytesOf(text)).toThrow(/--model-size takes a size from 2MB to 64GB/)
    }
  })

  it('is about another within a factor of 1.4', () => {
    expect(isAboutAsLarge(116e6, 128e6)).toBe(true)
    expect(isAboutAsLarge(128e6, 116e6)).toBe(true)
    expect(isAboutAsLarge(64e6, 128e6)).toBe(false)
    expect(isAboutAsLarge(256e6, 128e6)).toBe(false)
  })
})

describe('the cache of a CPU', () => {
  const files = new Map<string, string>(
    [0, 1, 2, 3].flatMap((cpu) => {
      const folder = `/sys/devices/system/cpu/cpu${cpu}/cache/index3`
      const shared = cpu < 2 ? '0-1' : '2-3'
      return [
        [`${folder}/size`, '32768K\n'],
        [`${folder}/shared_cpu_list`, `${shared}\n`],
      ] as const
    }),
  )
  const system: HostSystem = {
    platform: 'linux',
    env: {},
    run: async () => ({ outcome: 'missing', stdout: '', stderr: '' }),
    readText: (path) => files.get(path),
    list: () => ['cpu0', 'cpu1', 'cpu2', 'cpu3', 'cpufreq', 'online'],
    realPath: () => undefined,
    mayUse: () => undefined,
  }

  it('is counted once for all threads that share it', () => {
    expect(cpuCacheBytes(system)).toBe(64 * 2 ** 20)
    expect(cpuCacheBytes(system, [0, 1])).toBe(32 * 2 ** 20)
    expect(cpuCacheBytes(system, [1, 2])).toBe(64 * 2 ** 20)
  })

  it('is 0 where the system does not tell it', () => {
    expect(cpuCacheBytes({ ...system, readText: () => undefined })).toBe(0)
  })
})
