import { describe, expect, it } from 'vitest'
import { codesOf, cpuDevice, cpuFacts, drivers, findingOf, host, machine } from '../testing.ts'

const gib = 2 ** 30
const usual = host().memory
const withMemory = (changes: Partial<typeof usual>) =>
  machine({ host: host({ memory: { ...usual, ...changes } }) })
/** A machine without a GPU: then the CPU is what counts. */
const onCpu = { devices: [cpuDevice()], drivers: drivers({ files: [] }), problems: [] }
const without = (changes: Parameters<typeof host>[0]) => {
  const { nvidiaModule: _, ...bare } = onCpu.drivers
  return machine({ ...onCpu, drivers: bare, host: host(changes) })
}

describe('memory', () => {
  it('that is small is told', () => {
    const facts = withMemory({ totalBytes: 2 * gib, machineBytes: 2 * gib, availableBytes: 1.5 * gib })
    expect(findingOf(facts, 'memory_low').title).toBe('There is little memory: 2 GiB')
  })

  it('that is nearly used up is told', () => {
    const facts = withMemory({ availableBytes: 0.5 * gib })
    expect(findingOf(facts, 'memory_low').title).toContain('512 MiB of 64 GiB are left')
  })

  it('that lies in swap is told where little else is left', () => {
    const facts = withMemory({ swapUsedBytes: 20 * gib, availableBytes: 4 * gib })
    expect(findingOf(facts, 'swapping').detail).toContain('20 GiB lie in swap')
    expect(codesOf(withMemory({ swapUsedBytes: 20 * gib }))).toEqual([])
  })

  it('that everything waits for is told by the pressure on it', () => {
    const found = findingOf(withMemory({ pressure: 0.3 }), 'swapping')
    expect(found.detail).toContain('For 30% of the last minute')
  })

  it('that a control group limits is a note', () => {
    const facts = withMemory({ totalBytes: 16 * gib, availableBytes: 12 * gib })
    expect(codesOf(facts)).toEqual(['memory_limit'])
    expect(findingOf(facts, 'memory_limit').title).toContain("16 GiB of the machine's 64 GiB")
  })

  it('for want of which the kernel ended an engine is told, by time and by cause', () => {
    const { nowMs } = machine()
    const killed = [{ name: 'llama-server', pid: 77, atMs: nowMs - 3_600_000, byLimit: true }]
    const found = findingOf(machine({ kernel: { events: [], killed } }), 'killed_for_memory')
    expect(found.detail).toBe('Process 77, 60 min ago, by the limit of its control group.')
    const old = killed.map((one) => ({ ...one, atMs: nowMs - 90_000_000 }))
    expect(codesOf(machine({ kernel: { events: [], killed: old } }))).toEqual([])
  })

  it('for want of which some program of Node was ended is a note: it may not be Drover', () => {
    const { nowMs } = machine()
    const node = { name: 'MainThread', pid: 78, atMs: nowMs - 60_000, byLimit: false }
    const killed = [node, { ...node, pid: 79 }]
    const found = findingOf(machine({ kernel: { events: [], killed } }), 'killed_for_memory')
    expect(found).toMatchObject({ level: 'note', detail: 'Process 79, 60 s ago; 2 such within a day.' })
  })
})

describe('a CPU', () => {
  const old = { ...cpuFacts([[0, 1]]), instructionSets: ['sse4_2', 'avx'] }

  it('without AVX2 is a warning where it computes, else a note', () => {
    expect(findingOf(without({ cpu: old }), 'no_avx2').level).toBe('warning')
    expect(findingOf(machine({ host: host({ cpu: old }) }), 'no_avx2').level).toBe('note')
  })

  it('of another kind has no AVX2 to miss', () => {
    const arm = { ...old, instructionSets: ['asimd', 'i8mm'] }
    expect(codesOf(without({ cpu: arm, arch: 'arm64' }))).toEqual(['no_gpu'])
  })

  it('whose time is limited is told', () => {
    const found = findingOf(without({ cpuQuota: 1.5 }), 'cpu_quota')
    expect(found).toMatchObject({ level: 'warning', title: 'A limit grants 1.5 of 4 CPUs' })
    expect(found.command).toContain('--cpuset-cpus=0-0')
    expect(codesOf(without({ cpuQuota: 4 }))).toEqual(['no_gpu'])
  })

  it('that is kept slow is told, but not where the driver only calls it so', () => {
    expect(codesOf(without({ governor: { name: 'powersave', driver: 'acpi-cpufreq' } }))).toContain(
      'slow_clock',
    )
    expect(codesOf(without({ governor: { name: 'powersave', driver: 'intel_pstate' } }))).toEqual(['no_gpu'])
  })
})

describe('limits', () => {
  it('on open files are told when they are low', () => {
    expect(findingOf(machine({ host: host({ openFiles: 1024 }) }), 'few_open_files').title).toContain('1024')
    expect(codesOf(machine({ host: host({ openFiles: Number.POSITIVE_INFINITY }) }))).toEqual([])
  })

  it('on promises of memory are told', () => {
    const found = findingOf(machine({ host: host({ strictOvercommit: true }) }), 'strict_overcommit')
    expect(found.command).toBe('sudo sysctl vm.overcommit_memory=0')
  })
})

describe('Windows below', () => {
  it('is a note, and a warning where there is no way to the GPU', () => {
    const { nvidiaModule: _, ...bare } = drivers({ files: [] })
    const facts = (wsl: 1 | 2, hasDxg: boolean) =>
      machine({ devices: [cpuDevice()], drivers: { ...bare, hasDxg }, host: host({ wsl }) })
    expect(codesOf(facts(2, true))).toEqual(['no_gpu', 'wsl'])
    expect(codesOf(facts(2, false))).toEqual(['wsl_without_gpu', 'no_gpu', 'wsl'])
    expect(codesOf(facts(1, false))).toEqual(['wsl1', 'no_gpu'])
    expect(findingOf(facts(2, true), 'no_gpu').advice).toContain('install its newest driver there')
  })
})
