import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cgroupFolders, parseCgroupMemory, readCgroupMemory } from './cgroup.ts'
import { combineMemory, readHost } from './host.ts'
import { parseMeminfo, parsePhysicalCores, parseVmStat } from './proc.ts'

const gib = 2 ** 30
const meminfo = 'MemTotal:       16384000 kB\nMemFree:          512000 kB\nMemAvailable:    8192000 kB\n'
const cpu = (processor: number, socket: number, core: number) =>
  `processor\t: ${processor}\nmodel name\t: Some CPU\nphysical id\t: ${socket}\nsiblings\t: 4\ncore id\t\t: ${core}\n`

describe('/proc', () => {
  it('tells total and available memory in kibibytes', () => {
    expect(parseMeminfo(meminfo, 'MemTotal')).toBe(16384000 * 1024)
    expect(parseMeminfo(meminfo, 'MemAvailable')).toBe(8192000 * 1024)
    expect(parseMeminfo('MemTotal: 1 kB\n', 'MemAvailable')).toBeUndefined()
  })

  it('counts two threads of one core once, and equal core numbers of two sockets twice', () => {
    expect(parsePhysicalCores([cpu(0, 0, 0), cpu(1, 0, 0), cpu(2, 0, 1), cpu(3, 0, 1)].join('\n'))).toBe(2)
    expect(parsePhysicalCores([cpu(0, 0, 0), cpu(1, 1, 0)].join('\n'))).toBe(2)
  })

  it('leaves physical cores open where the kernel names none', () => {
    expect(parsePhysicalCores('processor\t: 0\nBogoMIPS\t: 50.00\n\nprocessor\t: 1\n')).toBeUndefined()
  })
})

describe('control groups', () => {
  it('lists the folders of version 2 from the innermost to the root', () => {
    expect(cgroupFolders('0::/user.slice/app.scope\n')).toEqual([
      { version: 'v2', path: '/sys/fs/cgroup/user.slice/app.scope' },
      { version: 'v2', path: '/sys/fs/cgroup/user.slice' },
      { version: 'v2', path: '/sys/fs/cgroup' },
    ])
  })

  it('lists the memory hierarchy of version 1 and leaves other controllers out', () => {
    expect(cgroupFolders('5:devices:/a\n4:memory:/docker/abc\n3:cpu,cpuacct:/b\n')).toEqual([
      { version: 'v1', path: '/sys/fs/cgroup/memory/docker/abc' },
      { version: 'v1', path: '/sys/fs/cgroup/memory/docker' },
      { version: 'v1', path: '/sys/fs/cgroup/memory' },
    ])
  })

  it('keeps within the mount where a namespace shows a path above it', () => {
    for (const { path } of cgroupFolders('0::/../../other\n'))
      expect(path.startsWith('/sys/fs/cgroup')).toBe(true)
  })

  it('ignores lines it does not understand', () => {
    expect(cgroupFolders('nonsense\n\n7:pids:/x\n')).toEqual([])
  })

  it('does not count page cache that can be dropped as used', () => {
    const texts = { limit: '1073741824\n', usage: '805306368\n', stat: 'anon 1\ninactive_file 268435456\n' }
    expect(parseCgroupMemory('v2', texts)).toEqual({ limitBytes: gib, usedBytes: gib / 2 })
    const v1 = { ...texts, stat: 'inactive_file 5\ntotal_inactive_file 268435456\n' }
    expect(parseCgroupMemory('v1', v1)).toEqual({ limitBytes: gib, usedBytes: gib / 2 })
  })

  it('sees no limit in `max`, in the largest number of version 1, and in an unreadable use', () => {
    expect(parseCgroupMemory('v2', { limit: 'max\n', usage: '1', stat: '' })).toBeUndefined()
    expect(parseCgroupMemory('v1', { limit: '9223372036854771712\n', usage: '1', stat: '' })).toBeUndefined()
    expect(parseCgroupMemory('v2', { limit: '1000\n', usage: '', stat: '' })).toBeUndefined()
    expect(parseCgroupMemory('v2', { limit: '', usage: '3', stat: '' })).toBeUndefined()
  })

  it('reads a folder of either version, and one without a limit as none', () => {
    const path = mkdtempSync(join(tmpdir(), 'cgroup-'))
    try {
      expect(readCgroupMemory({ version: 'v2', path })).toBeUndefined()
      writeFileSync(join(path, 'memory.max'), 'max\n')
      expect(readCgroupMemory({ version: 'v2', path })).toBeUndefined()
      writeFileSync(join(path, 'memory.max'), '2000\n')
      writeFileSync(join(path, 'memory.current'), '500\n')
      expect(readCgroupMemory({ version: 'v2', path })).toEqual({ limitBytes: 2000, usedBytes: 500 })
      writeFileSync(join(path, 'memory.limit_in_bytes'), '4000\n')
      writeFileSync(join(path, 'memory.usage_in_bytes'), '700\n')
      writeFileSync(join(path, 'memory.stat'), 'total_inactive_file 300\n')
      expect(readCgroupMemory({ version: 'v1', path })).toEqual({ limitBytes: 4000, usedBytes: 400 })
    } finally {
      rmSync(path, { recursive: true })
    }
  })

  it('take the tightest limit, and never less than nothing', () => {
    const machine = { totalMemoryBytes: 16 * gib, availableMemoryBytes: 8 * gib }
    expect(combineMemory(machine, [])).toEqual(machine)
    const groups = [
      { limitBytes: 4 * gib, usedBytes: gib },
      { limitBytes: 32 * gib, usedBytes: 0 },
    ]
    expect(combineMemory(machine, groups)).toEqual({
      totalMemoryBytes: 4 * gib,
      availableMemoryBytes: 3 * gib,
    })
    expect(combineMemory(machine, [{ limitBytes: gib, usedBytes: 2 * gib }]).availableMemoryBytes).toBe(0)
  })
})

describe('macOS', () => {
  it('counts free, inactive, speculative and purgeable pages as available', () => {
    const text = [
      'Mach Virtual Memory Statistics: (page size of 16384 bytes)',
      'Pages free:                              1000.',
      'Pages active:                          500000.',
      'Pages inactive:                          2000.',
      'Pages speculative:                        300.',
      'Pages throttled:                            0.',
      'Pages wired down:                       90000.',
      'Pages purgeable:                           40.',
    ].join('\n')
    expect(parseVmStat(text)).toBe(3340 * 16384)
    expect(parseVmStat('no such command')).toBeUndefined()
  })
})

describe('the host', () => {
  it('has cores and memory that agree with each other', () => {
    const host = readHost()
    expect(host.physicalCores).toBeGreaterThanOrEqual(1)
    expect(host.physicalCores).toBeLessThanOrEqual(host.logicalCores)
    expect(host.availableMemoryBytes).toBeGreaterThan(0)
    expect(host.availableMemoryBytes).toBeLessThanOrEqual(host.totalMemoryBytes)
    expect(host.platform).toBe(process.platform)
    expect(host.cpuModel).not.toBe('')
  })

  it('is read in less than a millisecond once it is known', () => {
    readHost()
    const startMs = performance.now()
    for (let i = 0; i < 100; i++) readHost()
    expect((performance.now() - startMs) / 100).toBeLessThan(1)
  })

  it('survives any text in the files of the kernel', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.constantFrom('v1' as const, 'v2' as const),
        (text, version) => {
          parseMeminfo(text, 'MemTotal')
          parsePhysicalCores(text)
          parseVmStat(text)
          cgroupFolders(text)
          const group = parseCgroupMemory(version, { limit: text, usage: text, stat: text })
          if (group) expect(group.usedBytes).toBeGreaterThanOrEqual(0)
        },
      ),
    )
  })
})
