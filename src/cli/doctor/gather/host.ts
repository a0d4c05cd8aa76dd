import { release, userInfo } from 'node:os'
import { type HostSystem, readCpu, readHost } from '../../../hardware/index.ts'
import type { HostLook, MemoryLook, UserLook } from '../contract.ts'

/** Variables by which runtimes are shown some devices only. */
const visibilityVariables = [
  'CUDA_VISIBLE_DEVICES',
  'NVIDIA_VISIBLE_DEVICES',
  'ROCR_VISIBLE_DEVICES',
  'HIP_VISIBLE_DEVICES',
  'ONEAPI_DEVICE_SELECTOR',
  'ZE_AFFINITY_MASK',
  'GGML_VK_VISIBLE_DEVICES',
]

/** Looks at the machine itself. What it does not tell is absent; never throws. */
export function lookAtHost(system: HostSystem): HostLook {
  const { platform, arch } = readHost()
  const wsl = wslOf(system)
  const container = containerOf(system)
  const cpuQuota = quotaOf(system)
  const governor = governorOf(system)
  const openFiles = openFilesOf(system)
  const text = (path: string) => system.readText(path)?.trim()
  return {
    platform,
    arch,
    distribution: distributionOf(system.readText('/etc/os-release') ?? ''),
    user: lookAtUser(system),
    visibility: Object.fromEntries(
      visibilityVariables.flatMap((name) => {
        const value = system.env[name]
        return value === undefined || value === '' ? [] : [[name, value]]
      }),
    ),
    memory: lookAtMemory(system),
    cpu: readCpu(system),
    strictOvercommit: text('/proc/sys/vm/overcommit_memory') === '2',
    numaBalancing: Number(text('/proc/sys/kernel/numa_balancing') ?? 0) > 0,
    ...(wsl !== undefined && { wsl }),
    ...(container !== undefined && { container }),
    ...(cpuQuota !== undefined && { cpuQuota }),
    ...(governor && { governor }),
    ...(openFiles !== undefined && { openFiles }),
  }
}

/** `ubuntu debian` */
function distributionOf(osRelease: string): string {
  const value = (key: string) =>
    new RegExp(`^${key}=(.*)$`, 'm').exec(osRelease)?.[1]?.replaceAll('"', '').trim()
  return [value('ID'), value('ID_LIKE')].filter(Boolean).join(' ')
}

/** By the kernel's name: `5.15.90.1-microsoft-standard-WSL2`, `4.4.0-19041-Microsoft`. */
function wslOf(system: HostSystem): 1 | 2 | undefined {
  const name = system.readText('/proc/sys/kernel/osrelease') ?? (system.platform === 'linux' ? release() : '')
  if (!/microsoft/i.test(name)) return undefined
  return /WSL2|microsoft-standard/i.test(name) ? 2 : 1
}

function containerOf(system: HostSystem): string | undefined {
  if (system.env['KUBERNETES_SERVICE_HOST']) return 'Kubernetes'
  if (system.realPath('/.dockerenv') !== undefined) return 'Docker'
  if (system.realPath('/run/.containerenv') !== undefined) return 'Podman'
  const told = (system.readText('/run/systemd/container')?.trim() || system.env['container']) ?? ''
  return told === '' || told === 'wsl' ? undefined : told
}

function lookAtUser(system: HostSystem): UserLook {
  const rows = (system.readText('/etc/group') ?? '').split('\n').map((line) => line.split(':'))
  const nameOf = (id: number) => rows.find((row) => row[2] === String(id))?.[0] ?? String(id)
  const name = userName()
  return {
    name,
    isRoot: process.getuid?.() === 0,
    groups: (process.getgroups?.() ?? []).map(nameOf),
    enteredIn: rows.flatMap(([group = '', , , members = '']) =>
      members.split(',').includes(name) ? [group] : [],
    ),
  }
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A number without an entry among the users, as containers have it.
    return String(process.getuid?.() ?? 'unknown')
  }
}

function lookAtMemory(system: HostSystem): MemoryLook {
  const { totalMemoryBytes: totalBytes, availableMemoryBytes: availableBytes } = readHost()
  const meminfo = system.readText('/proc/meminfo') ?? ''
  const bytes = (key: string) =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(meminfo)?.[1] ?? 0) * 1024
  const swapTotalBytes = bytes('SwapTotal')
  // Pressure stall information: `full avg10=0.00 avg60=1.27 ...`, in per cent.
  const [, percent] = /^full .*avg60=([\d.]+)/m.exec(system.readText('/proc/pressure/memory') ?? '') ?? []
  return {
    totalBytes,
    availableBytes,
    machineBytes: bytes('MemTotal') || totalBytes,
    swapTotalBytes,
    swapUsedBytes: Math.max(0, swapTotalBytes - bytes('SwapFree')),
    ...(percent !== undefined && { pressure: Number(percent) / 100 }),
  }
}

const cgroupMount = '/sys/fs/cgroup'

/** The tightest CPU limit of the control groups that this process is in, in CPUs. */
function quotaOf(system: HostSystem): number | undefined {
  const own = /^0::(\/.*)$/m.exec(system.readText('/proc/self/cgroup') ?? '')?.[1] ?? '/'
  const parts = own.split('/').filter(Boolean)
  const folders = [cgroupMount, ...parts.map((_, at) => `${cgroupMount}/${parts.slice(0, at + 1).join('/')}`)]
  const quotas = folders.map((folder) => {
    const [quota, period] = (system.readText(`${folder}/cpu.max`) ?? '').trim().split(' ').map(Number)
    return (quota ?? Number.NaN) / (period ?? Number.NaN)
  })
  const old = (name: string) => Number(system.readText(`${cgroupMount}/cpu/cpu.${name}`) ?? Number.NaN)
  const limits = [...quotas, old('cfs_quota_us') / old('cfs_period_us')].filter((limit) => limit > 0)
  return limits.length > 0 ? Math.min(...limits) : undefined
}

function governorOf(system: HostSystem): { name: string; driver: string } | undefined {
  const folder = '/sys/devices/system/cpu/cpu0/cpufreq'
  const name = system.readText(`${folder}/scaling_governor`)?.trim()
  const driver = system.readText(`${folder}/scaling_driver`)?.trim() ?? ''
  return name === undefined ? undefined : { name, driver }
}

function openFilesOf(system: HostSystem): number | undefined {
  const soft = /^Max open files\s+(\S+)/m.exec(system.readText('/proc/self/limits') ?? '')?.[1]
  if (soft === undefined) return undefined
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
}
