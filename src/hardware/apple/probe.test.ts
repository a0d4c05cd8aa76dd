import { describe, expect, it } from 'vitest'
import type { HostSystem, ProgramResult } from '../contract.ts'
import { appleProbe } from './index.ts'
import { defaultGpuLimitBytes } from './memory.ts'

const gib = 1024 ** 3

type Answers = Record<string, string>

/** A Mac whose programs answer with these texts; one that is not named takes longer than it may. */
function mac(answers: Answers, platform: NodeJS.Platform = 'darwin'): { system: HostSystem; runs: string[] } {
  const runs: string[] = []
  const run = (program: string, args: readonly string[]): Promise<ProgramResult> => {
    runs.push([program, ...args].join(' '))
    const stdout = answers[program]
    return Promise.resolve({
      outcome: stdout === undefined ? 'timeout' : 'ok',
      stdout: stdout ?? '',
      stderr: '',
    })
  }
  const none = () => undefined
  return {
    system: { platform, env: {}, run, readText: none, list: () => [], realPath: none, mayUse: none },
    runs,
  }
}

const sysctl = (memoryGib: number, limitMib = 0) =>
  `hw.memsize: ${memoryGib * gib}\niogpu.wired_limit_mb: ${limitMib}\nmachdep.cpu.brand_string: Apple M3 Max\n`

const profile = JSON.stringify({
  SPDisplaysDataType: [
    { sppci_model: 'Apple M3 Max', sppci_cores: '40', spdisplays_mtlgpufamilysupport: 'spdisplays_metal3' },
  ],
})

const ioreg = `+-o AGXAcceleratorG15C  <class AGXAcceleratorG15C>
    {
      "PerformanceStatistics" = {"Device Utilization %"=12,"In use system memory"=${2 * gib}}
      "model" = "Apple M3 Max"
      "gpu-core-count" = 40
    }
`

const vmStat = `Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               65536.
Pages inactive:                          131072.
Pages speculative:                            0.
Pages purgeable:                              0.
`

describe('the Apple probe', () => {
  it('tells the GPU with what it may take of the memory, and what is free of that', async () => {
    const { system } = mac({
      system_profiler: profile,
      sysctl: sysctl(64),
      ioreg,
      pmset: 'Note: No thermal warning level has been recorded\n',
      vm_stat: vmStat,
    })
    expect(await appleProbe.list(system)).toEqual({
      vendor: 'apple',
      devices: [
        {
          vendor: 'apple',
          source: 'macOS',
          index: 0,
          kind: 'integrated',
          name: 'Apple M3 Max',
          computeUnits: 40,
          architecture: 'G15C',
          runtime: 'Metal 3',
          memoryTotalBytes: 48 * gib,
          memoryFreeBytes: 3 * gib,
          state: 'ok',
          sensors: { utilization: 0.12, memoryUsedBytes: 2 * gib, memoryTotalBytes: 48 * gib, throttle: [] },
        },
      ],
      links: [],
      places: [],
      problems: [],
    })
  })

  it('heeds the limit that the owner set', async () => {
    const { system } = mac({ system_profiler: profile, sysctl: sysctl(64, 57_344), ioreg })
    const [gpu] = (await appleProbe.list(system)).devices
    expect(gpu).toMatchObject({ memoryTotalBytes: 56 * gib, memoryFreeBytes: 54 * gib })
  })

  it('heeds the limit of macOS 13, which stands under another name in bytes', async () => {
    const text = `hw.memsize: ${32 * gib}\ndebug.iogpu.wired_limit: ${28 * gib}\nmachdep.cpu.brand_string: Apple M1 Pro\n`
    const { system } = mac({ system_profiler: profile, sysctl: text })
    expect((await appleProbe.list(system)).devices[0]?.memoryTotalBytes).toBe(28 * gib)
  })

  it('falls back to sysctl for the name where system_profiler does not answer in time', async () => {
    const { system } = mac({ sysctl: sysctl(16) })
    const { devices, problems } = await appleProbe.list(system)
    expect(devices).toMatchObject([
      { name: 'Apple M3 Max', memoryTotalBytes: Math.floor((16 * gib * 2) / 3) },
    ])
    expect(problems).toEqual([expect.stringContaining('(timeout)')])
  })

  it('lists the GPUs of an Intel Mac as they are', async () => {
    const text = JSON.stringify({
      SPDisplaysDataType: [{ sppci_model: 'AMD Radeon Pro 5500M', spdisplays_vram: '8 GB' }],
    })
    const intel = `hw.memsize: ${32 * gib}\nmachdep.cpu.brand_string: Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz\n`
    const { system } = mac({ system_profiler: text, sysctl: intel })
    expect((await appleProbe.list(system)).devices).toMatchObject([
      { vendor: 'amd', kind: 'discrete', memoryTotalBytes: 8 * gib },
    ])
  })

  it('samples by ioreg alone', async () => {
    const { system, runs } = mac({ ioreg })
    expect(await appleProbe.sample(system)).toMatchObject([
      { index: 0, sensors: { utilization: 0.12, memoryUsedBytes: 2 * gib } },
    ])
    expect(runs).toEqual(['ioreg -r -d 1 -w 0 -c AGXAccelerator'])
  })

  it('runs nothing on other systems', async () => {
    const { system, runs } = mac({ ioreg }, 'linux')
    expect((await appleProbe.list(system)).devices).toEqual([])
    expect(await appleProbe.sample(system)).toEqual([])
    expect(runs).toEqual([])
  })
})

describe("the default of Metal's memory", () => {
  it.each([
    [36, 24],
    [48, 36],
    [128, 96],
  ])('of %i GiB is %i GiB', (memory, limit) => {
    expect(defaultGpuLimitBytes(memory * gib)).toBe(limit * gib)
  })
})
