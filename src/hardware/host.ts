import { execFileSync } from 'node:child_process'
import {
  availableParallelism,
  cpus,
  freemem,
  arch as osArch,
  platform as osPlatform,
  totalmem,
} from 'node:os'
import { type CgroupFolder, type CgroupMemory, cgroupFolders, readCgroupMemory, readText } from './cgroup.ts'
import { parseMeminfo, parsePhysicalCores, parseVmStat } from './proc.ts'

/** The machine, as far as this process may use it. */
export interface HostFacts {
  /** Cores that do arithmetic of their own, within what this process may use; at least 1. */
  physicalCores: number
  /** Hardware threads that this process may use. */
  logicalCores: number
  /** Memory of the machine, or of the container where that is less. */
  totalMemoryBytes: number
  /** Memory that can be taken now without swapping or being killed. */
  availableMemoryBytes: number
  platform: NodeJS.Platform
  arch: string
  /** `unknown` where the system does not say. */
  cpuModel: string
}

/** What does not change while the process runs. */
interface FixedFacts {
  physicalCores: number
  logicalCores: number
  platform: NodeJS.Platform
  arch: string
  cpuModel: string
  cgroups: CgroupFolder[]
}

/** On macOS memory is asked of a program, which takes milliseconds; its answer is good for so long. */
const vmStatAgeMs = 1000

let fixed: FixedFacts | undefined
let vmStat: { availableBytes: number; readAtMs: number } | undefined

/** Reads the host. The first call takes a few milliseconds, later ones a fraction of one. Never throws. */
export function readHost(): HostFacts {
  fixed ??= readFixed()
  const { cgroups, ...facts } = fixed
  const memory = fixed.platform === 'linux' ? readLinuxMemory(cgroups) : readOtherMemory(fixed.platform)
  return { ...facts, ...memory }
}

type MemoryFacts = Pick<HostFacts, 'totalMemoryBytes' | 'availableMemoryBytes'>

/** The tightest of the machine's memory and of every group's limit that the process is in. */
export function combineMemory(machine: MemoryFacts, groups: readonly CgroupMemory[]): MemoryFacts {
  return {
    totalMemoryBytes: Math.min(machine.totalMemoryBytes, ...groups.map(({ limitBytes }) => limitBytes)),
    availableMemoryBytes: Math.min(
      machine.availableMemoryBytes,
      ...groups.map(({ limitBytes, usedBytes }) => Math.max(0, limitBytes - usedBytes)),
    ),
  }
}

function readLinuxMemory(folders: readonly CgroupFolder[]): MemoryFacts {
  const meminfo = readText('/proc/meminfo') ?? ''
  const machine = {
    totalMemoryBytes: parseMeminfo(meminfo, 'MemTotal') ?? totalmem(),
    availableMemoryBytes: parseMeminfo(meminfo, 'MemAvailable') ?? freemem(),
  }
  return combineMemory(
    machine,
    folders.map(readCgroupMemory).filter((group) => group !== undefined),
  )
}

function readOtherMemory(platform: NodeJS.Platform): MemoryFacts {
  const totalMemoryBytes = totalmem()
  if (platform !== 'darwin') return { totalMemoryBytes, availableMemoryBytes: freemem() }
  const nowMs = performance.now()
  if (vmStat === undefined || nowMs - vmStat.readAtMs > vmStatAgeMs) {
    const availableBytes = parseVmStat(output('vm_stat', [])) ?? freemem()
    vmStat = { availableBytes, readAtMs: nowMs }
  }
  return { totalMemoryBytes, availableMemoryBytes: Math.min(totalMemoryBytes, vmStat.availableBytes) }
}

function readFixed(): FixedFacts {
  const platform = osPlatform()
  const logicalCores = availableParallelism()
  const cores = cpus()
  const physicalCores = countPhysicalCores(platform) ?? cores.length
  return {
    logicalCores,
    // A process held to some of the cores has no use for the others.
    physicalCores: Math.max(1, Math.min(physicalCores, logicalCores)),
    platform,
    arch: osArch(),
    cpuModel: cores[0]?.model.trim() || 'unknown',
    cgroups: platform === 'linux' ? cgroupFolders(readText('/proc/self/cgroup') ?? '') : [],
  }
}

function countPhysicalCores(platform: NodeJS.Platform): number | undefined {
  if (platform === 'linux') return parsePhysicalCores(readText('/proc/cpuinfo') ?? '')
  if (platform === 'darwin') return Number(output('sysctl', ['-n', 'hw.physicalcpu'])) || undefined
  return undefined
}

/** What a small program of the system prints; empty where it fails. */
function output(program: string, args: string[]): string {
  try {
    return execFileSync(program, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 2000,
    })
  } catch {
    return ''
  }
}
