import { describe, expect, it } from 'vitest'
import { type DeviceEntry, parseDeviceSelector } from '../config/index.ts'
import type { EngineDevice } from '../engines/index.ts'
import type { Device } from '../hardware/index.ts'
import { instancesPerDevice, replicasPerDevice, usableBytes } from './provisioning.ts'
import { confinementOf, serverDevices, type WorkerDevice, workerDevices } from './worker-devices.ts'

const gib = 2 ** 30
const uuid = (n: number) => `GPU-0000000${n}-0000-0000-0000-000000000000`

function card(vendor: Device['vendor'], index: number, changes: Partial<Device> = {}): Device {
  return {
    id: `${vendor}${index}`,
    vendor,
    kind: 'discrete',
    name: `${vendor} card`,
    state: 'ok',
    sources: ['test'],
    index,
    memoryTotalBytes: 24 * gib,
    unifiedMemory: false,
    facts: { tflops: {}, supports: {} },
    ...changes,
  }
}

const nvidia = (index: number, changes: Partial<Device> = {}) =>
  card('nvidia', index, { uuid: uuid(index), name: 'NVIDIA GeForce RTX 3090', ...changes })
const cpu: Device = { ...card('cpu', 0), id: 'cpu', kind: 'cpu', memoryTotalBytes: 64 * gib }
const listed = (...names: string[]): EngineDevice[] =>
  names.map((name) => {
    const [own = '', description = ''] = name.split(' - ')
    return { name: own, description, totalBytes: 24 * gib, freeBytes: 20 * gib }
  })
const entry = (name: string, settings: DeviceEntry['settings'] = {}): DeviceEntry => {
  const selector = parseDeviceSelector(name)
  if (!selector) throw new Error(`${name} selects nothing`)
  return { selector, settings }
}
const ids = (devices: readonly WorkerDevice[]) => devices.map(({ id }) => id)

describe('the cards that an engine can use', () => {
  it('are matched by their place among the cards of their vendor', () => {
    const { devices, problems } = workerDevices({
      hardware: [nvidia(0), nvidia(1), card('amd', 0), cpu],
      engineDevices: listed('CUDA0 - RTX', 'CUDA1 - RTX', 'ROCm0 - Radeon'),
    })
    expect(devices.map(({ id, engineName, fallback }) => [id, engineName, fallback])).toEqual([
      ['nvidia0', 'CUDA0', false],
      ['nvidia1', 'CUDA1', false],
      ['amd0', 'ROCm0', false],
      ['cpu', undefined, true],
    ])
    expect(problems).toEqual([])
    expect(devices[0]?.memoryFreeBytes).toBe(20 * gib)
  })

  it('are matched by name under Vulkan, each once, and not twice under two backends', () => {
    const { devices } = workerDevices({
      hardware: [nvidia(0), card('amd', 0, { name: 'AMD Radeon RX 7900 XTX' }), cpu],
      engineDevices: listed(
        'CUDA0 - NVIDIA GeForce RTX 3090',
        'Vulkan0 - NVIDIA GeForce RTX 3090',
        'Vulkan1 - AMD Radeon RX 7900 XTX (RADV NAVI31)',
      ),
    })
    expect(devices.map(({ id, engineName, vulkanIndex }) => [id, engineName, vulkanIndex])).toEqual([
      ['nvidia0', 'CUDA0', undefined],
      ['amd0', 'Vulkan1', 1],
      ['cpu', undefined, undefined],
    ])
  })

  it('are those too that only the engine knows of, by the number that Vulkan itself gives them', () => {
    const { devices } = workerDevices({
      hardware: [cpu],
      engineDevices: listed('Vulkan0 - llvmpipe', 'Vulkan1 - llvmpipe'),
      vulkanVisible: '2,3',
    })
    expect(devices.map(({ id, vulkanIndex }) => [id, vulkanIndex])).toEqual([
      ['engine:Vulkan0', 2],
      ['engine:Vulkan1', 3],
      ['cpu', undefined],
    ])
  })

  it('leave out what is lost, hidden or cut into partitions', () => {
    const { devices, problems } = workerDevices({
      hardware: [
        nvidia(0, { state: 'lost' }),
        nvidia(1, { state: 'hidden' }),
        nvidia(2, { partitioned: true }),
        nvidia(3),
        cpu,
      ],
      engineDevices: listed('CUDA0 - RTX'),
    })
    expect(ids(devices)).toEqual(['nvidia3', 'cpu'])
    expect(problems).toEqual([])
  })

  it('say what to do where the engine has no backend for a card', () => {
    const { devices, problems } = workerDevices({ hardware: [nvidia(0), cpu], engineDevices: [] })
    expect(devices).toMatchObject([{ id: 'cpu', fallback: false }])
    expect(problems[0]).toMatch(
      /RTX 3090: the engine does not see it \(it lists no GPU\).*CUDA.*drover doctor/,
    )
  })

  it('are all of them for an engine that lists none', () => {
    const { devices } = workerDevices({
      hardware: [nvidia(0), card('intel', 0), cpu],
      engineDevices: undefined,
    })
    expect(ids(devices)).toEqual(['nvidia0', 'intel0', 'cpu'])
  })
})

describe('the configuration', () => {
  const hardware = [nvidia(0), nvidia(1, { pciAddress: '0000:4b:00.0' }), cpu]
  const engineDevices = listed('CUDA0 - RTX', 'CUDA1 - RTX')

  it.each([
    ['1', ['nvidia1', 'cpu']],
    [uuid(0), ['nvidia0', 'cpu']],
    ['4b:00.0', ['nvidia1', 'cpu']],
    ['gpus', ['nvidia0', 'nvidia1', 'cpu']],
    ['cpu', ['cpu']],
  ])('chooses by %s', (name, expected) => {
    const { devices } = workerDevices({ hardware, engineDevices, chosen: [entry(name)] })
    expect(ids(devices)).toEqual(expected)
  })

  it('makes the CPU a device like the others where it names it', () => {
    const { devices } = workerDevices({ hardware, engineDevices, chosen: [entry('0'), entry('cpu')] })
    expect(devices.map(({ id, fallback }) => [id, fallback])).toEqual([
      ['nvidia0', false],
      ['cpu', false],
    ])
  })

  it("sets and excludes single devices, and tells of names that are nobody's", () => {
    const { devices, problems } = workerDevices({
      hardware,
      engineDevices,
      settings: [
        entry('0', { exclude: true }),
        entry('1', { port: 11_500 }),
        entry('GPU-misspelt', { port: 1 }),
      ],
    })
    expect(ids(devices)).toEqual(['nvidia1', 'cpu'])
    expect(devices[0]?.settings).toEqual({ port: 11_500 })
    expect(problems).toEqual([expect.stringContaining('"GPU-misspelt"')])
  })
})

describe('a process', () => {
  const gpus = workerDevices({
    hardware: [nvidia(0), nvidia(1), cpu],
    engineDevices: listed('CUDA0 - a', 'CUDA1 - a'),
  }).devices

  it('is shown its cards by UUID, and is held to no cores', () => {
    const { env, cores } = confinementOf(gpus.slice(1, 2))
    expect(env['CUDA_VISIBLE_DEVICES']).toBe(uuid(1))
    expect(cores).toBeUndefined()
  })

  it('on several CPU devices has the cores of all of them, and sees no card', () => {
    const part = (cores: number[]): WorkerDevice => {
      const device = { ...cpu, id: `cpu:${cores}`, cores }
      return {
        id: device.id,
        device,
        kind: 'cpu',
        memoryTotalBytes: gib,
        memoryFreeBytes: gib,
        settings: {},
        fallback: false,
      }
    }
    const { env, cores } = confinementOf([part([0, 1]), part([4])])
    expect(cores).toEqual([0, 1, 4])
    expect(env['CUDA_VISIBLE_DEVICES']).toBe('-1')
  })

  it('of a server that runs already is told its address alone', () => {
    expect(confinementOf(serverDevices(['http://10.0.0.5:11434']))).toEqual({
      env: { OLLAMA_HOST: 'http://10.0.0.5:11434' },
    })
  })
})

describe('instances on a device', () => {
  const sized = (memoryGib: number, kind: WorkerDevice['kind'] = 'gpu', settings = {}): WorkerDevice => {
    const bytes = memoryGib * gib
    return {
      id: 'x',
      device: cpu,
      kind,
      memoryTotalBytes: bytes,
      memoryFreeBytes: bytes,
      settings,
      fallback: false,
    }
  }

  it.each([
    [7.6, 1],
    [11.8, 1],
    [15.5, 2],
    [23.6, 3],
    [31.4, 4],
    [79.2, 4],
  ])('of one model are, with %d GiB, at most %d', (memoryGib, replicas) => {
    expect(replicasPerDevice(sized(memoryGib))).toBe(replicas)
  })

  it('are one a model on a CPU, and as many as is set anywhere', () => {
    expect(replicasPerDevice(sized(64, 'cpu'))).toBe(1)
    expect(replicasPerDevice(sized(64, 'cpu', { instances: 2 }))).toBe(2)
    expect(instancesPerDevice(sized(8))).toBe(3)
    expect(instancesPerDevice(sized(8, 'gpu', { instances: 1 }))).toBe(1)
  })

  it('have the memory that is set, or all but what is reserved', () => {
    expect(usableBytes(sized(24), gib)).toBe(23 * gib)
    expect(usableBytes(sized(24, 'gpu', { reserveBytes: 2 * gib }), gib)).toBe(21 * gib)
    expect(usableBytes(sized(24, 'gpu', { memoryLimitBytes: 8 * gib }), gib)).toBe(8 * gib)
    expect(usableBytes(sized(10, 'cpu'), gib)).toBe(9 * gib)
  })
})
