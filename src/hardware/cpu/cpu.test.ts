import { describe, expect, it } from 'vitest'
import type { HostSystem } from '../contract.ts'
import { cpuDevices } from './devices.ts'
import { parseInstructionSets, parseNodeMemory, readCpu } from './facts.ts'
import { createCpuProbe, parseStat } from './probe.ts'

/** A Linux machine of two sockets with two cores of two threads each. */
function twoSockets(changes: Record<string, string> = {}): HostSystem {
  const files: Record<string, string> = {
    '/proc/cpuinfo':
      'processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx2 avx512f amx_int8 nonsense\n',
    '/proc/self/status': 'Name:\tnode\nCpus_allowed_list:\t0-7\n',
    '/sys/devices/system/cpu/online': '0-7\n',
    '/sys/devices/system/node/node0/cpulist': '0-3\n',
    '/sys/devices/system/node/node0/meminfo': 'Node 0 MemTotal:       65536000 kB\n',
    '/sys/devices/system/node/node0/distance': '10 21\n',
    '/sys/devices/system/node/node1/cpulist': '4-7\n',
    '/sys/devices/system/node/node1/meminfo': 'Node 1 MemTotal:       32768000 kB\n',
    '/sys/devices/system/node/node1/distance': '21 10\n',
    '/sys/class/hwmon/hwmon2/name': 'k10temp\n',
    '/sys/class/hwmon/hwmon2/temp1_input': '61250\n',
    '/proc/stat': '',
    ...changes,
  }
  for (let cpu = 0; cpu < 8; cpu++) {
    const topology = `/sys/devices/system/cpu/cpu${cpu}/topology`
    files[`${topology}/physical_package_id`] = `${Math.floor(cpu / 4)}\n`
    files[`${topology}/core_id`] = `${Math.floor((cpu % 4) / 2)}\n`
  }
  const names = (path: string) =>
    Object.keys(files)
      .filter((file) => file.startsWith(`${path}/`))
      .map((file) => file.slice(path.length + 1).split('/')[0] ?? '')
  return {
    platform: 'linux',
    env: {},
    run: async () => ({ outcome: 'missing', stdout: '', stderr: '' }),
    readText: (path) => files[path],
    list: (path) => [...new Set(names(path))].sort(),
    realPath: (path) => path,
    mayUse: () => true,
  }
}

describe('the CPU', () => {
  it('has sockets, cores with their threads, nodes with their memory, and the instruction sets that matter', () => {
    expect(readCpu(twoSockets())).toMatchObject({
      model: 'Some CPU',
      sockets: 2,
      physicalCores: 4,
      cores: [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
      ],
      numaNodes: [
        { id: 0, cpus: [0, 1, 2, 3], memoryBytes: 65_536_000 * 1024, distances: [10, 21] },
        { id: 1, cpus: [4, 5, 6, 7], memoryBytes: 32_768_000 * 1024, distances: [21, 10] },
      ],
      instructionSets: ['avx2', 'avx512f', 'amx_int8'],
    })
  })

  it('is only what this process may use of it', () => {
    const held = readCpu(twoSockets({ '/proc/self/status': 'Cpus_allowed_list:\t1,4-5\n' }))
    expect(held.cpus).toEqual([1, 4, 5])
    expect(held.numaNodes.map(({ cpus }) => cpus)).toEqual([[1], [4, 5]])
  })

  it('is read on this very machine', () => {
    const here = readCpu({ ...twoSockets(), platform: 'darwin' })
    expect(here.cpus.length).toBeGreaterThan(0)
    expect(here.numaNodes).toHaveLength(1)
  })

  it('tells ARM features as it tells x86 flags', () => {
    expect(parseInstructionSets('Features\t: fp asimd sve2 i8mm\n')).toEqual(['asimd', 'sve2', 'i8mm'])
    expect(parseNodeMemory('nothing')).toBeUndefined()
  })
})

describe('CPU devices', () => {
  const cpu = readCpu(twoSockets())

  it('are one of all cores, held to none of them', () => {
    const [whole] = cpuDevices(cpu, [{ kind: 'whole' }])
    expect(whole).toMatchObject({
      id: 'cpu',
      kind: 'cpu',
      computeUnits: 4,
      facts: { supports: { int8: true } },
    })
    expect(whole?.cores).toBeUndefined()
  })

  it('are one a NUMA node, with its cores and its memory', () => {
    const nodes = cpuDevices(cpu, [{ kind: 'numa' }])
    expect(
      nodes.map(({ id, cores, memoryTotalBytes, numaNode }) => [id, cores, memoryTotalBytes, numaNode]),
    ).toEqual([
      ['numa:0', [0, 1, 2, 3], 65_536_000 * 1024, 0],
      ['numa:1', [4, 5, 6, 7], 32_768_000 * 1024, 1],
    ])
  })

  it('are the cores that were asked for, with their share of the memory', () => {
    const [first, second] = cpuDevices(cpu, [
      { kind: 'cores', cores: [0, 1] },
      { kind: 'cores', cores: [2, 4] },
    ])
    expect(first).toMatchObject({ id: 'cpu:0-1', cores: [0, 1], numaNode: 0 })
    expect(first?.memoryTotalBytes).toBe(Math.floor(cpu.memoryBytes / 4))
    expect(second).toMatchObject({ id: 'cpu:2,4' })
    expect(second?.numaNode).toBeUndefined()
  })

  it('are refused where the cores are not there, by number', () => {
    expect(() => cpuDevices(cpu, [{ kind: 'cores', cores: [7, 8] }])).toThrow(
      'devices: cpu:7-8 names cores that are not there for this process (8): it may use 0-7',
    )
  })
})

describe('the sensors of CPU devices', () => {
  const stat = (busy: number, idle: number) =>
    `cpu  1 2 3\ncpu0 ${busy} 0 0 ${idle} 0 0 0 0 0 0\ncpu1 0 0 0 ${busy + idle} 0 0 0 0 0 0\n`

  it('are the load of their own cores since the last look, and the hottest core', async () => {
    const cpu = readCpu(twoSockets())
    const devices = cpuDevices(cpu, [
      { kind: 'cores', cores: [0] },
      { kind: 'cores', cores: [1] },
    ])
    const probe = createCpuProbe(() => devices)
    const loads = async (text: string) =>
      (await probe.sample(twoSockets({ '/proc/stat': text }))).map(({ sensors }) => sensors)
    expect((await loads(stat(100, 100)))[0]?.utilization).toBeUndefined()
    const [first, second] = await loads(stat(175, 125))
    expect(first).toMatchObject({ utilization: 0.75, temperatureC: 61.25 })
    expect(second?.utilization).toBe(0)
    expect((await loads(stat(175, 125)))[0]?.utilization, 'the kernel has not counted on').toBe(0.75)
  })

  it('count waiting for the disk as no work', () => {
    expect(parseStat('cpu3 10 5 5 60 20 0 0 0 0 0\n').get(3)).toEqual({ busy: 20, total: 100 })
    expect(parseStat('nonsense').size).toBe(0)
  })
})
