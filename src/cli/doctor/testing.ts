import { type Config, loadConfig } from '../../config/index.ts'
import type { HostSystem, ProgramResult } from '../../hardware/index.ts'
import { diagnose } from './checks.ts'
import type { DoctorFacts, DriverLook, EngineLook, Finding, HostLook } from './contract.ts'

const gib = 2 ** 30

type Card = DoctorFacts['devices'][number]

/** A card that is well, with what is different about it. */
export function card(changes: Partial<Card> = {}): Card {
  return {
    id: 'GPU-5eed0000-0000-4000-8000-000000000000',
    uuid: 'GPU-5eed0000-0000-4000-8000-000000000000',
    vendor: 'nvidia',
    kind: 'discrete',
    name: 'NVIDIA GeForce RTX 3090',
    state: 'ok',
    sources: ['nvidia-smi -q -x'],
    index: 0,
    pciAddress: '0000:01:00.0',
    memoryTotalBytes: 24 * gib,
    unifiedMemory: false,
    persistence: true,
    computeCapability: '8.6',
    pcie: { generation: 4, width: 16, maxGeneration: 4, maxWidth: 16 },
    facts: { tflops: {}, supports: {}, pcie: { generation: 4, width: 16 } },
    health: { state: 'healthy', reasons: [] },
    used: true,
    instances: [],
    ...changes,
  }
}

/** The CPU as a device. */
export function cpuDevice(): Card {
  return card({
    id: 'cpu',
    uuid: 'cpu',
    vendor: 'cpu',
    kind: 'cpu',
    name: 'AMD Ryzen 9 5950X',
    unifiedMemory: true,
    pcie: {},
    facts: { tflops: {}, supports: {} },
  })
}

export function host(changes: Partial<HostLook> = {}): HostLook {
  return {
    platform: 'linux',
    arch: 'x64',
    distribution: 'ubuntu debian',
    user: { name: 'ada', isRoot: false, groups: ['ada', 'video', 'render'], enteredIn: ['video', 'render'] },
    visibility: {},
    memory: {
      totalBytes: 64 * gib,
      availableBytes: 50 * gib,
      machineBytes: 64 * gib,
      swapTotalBytes: 8 * gib,
      swapUsedBytes: 0,
      pressure: 0,
    },
    cpu: cpuFacts([[0, 1, 2, 3]]),
    governor: { name: 'performance', driver: 'acpi-cpufreq' },
    openFiles: 1_048_576,
    strictOvercommit: false,
    numaBalancing: false,
    ...changes,
  }
}

/** A CPU with these hardware threads in each NUMA node; a node without any is not there for this process. */
export function cpuFacts(nodes: readonly number[][]): HostLook['cpu'] {
  const cpus = nodes.flat()
  return {
    model: 'AMD Ryzen 9 5950X',
    sockets: nodes.length,
    physicalCores: cpus.length,
    cpus,
    cores: cpus.map((cpu) => [cpu]),
    memoryBytes: 64 * gib,
    numaNodes: nodes.flatMap((own, id) =>
      own.length > 0 ? [{ id, cpus: own, memoryBytes: 64 * gib, distances: [10, 21] }] : [],
    ),
    instructionSets: ['avx', 'avx2', 'fma'],
  }
}

export function drivers(changes: Partial<DriverLook> = {}): DriverLook {
  return {
    files: ['/dev/nvidia0', '/dev/nvidiactl', '/dev/nvidia-uvm'].map((path) => ({
      path,
      mayUse: true,
      group: 'root',
      groupMayUse: true,
    })),
    nvidiaModule: '580.95.05',
    hasDxg: false,
    ...changes,
  }
}

export function engines(changes: Partial<EngineLook> = {}): EngineLook {
  return {
    listed: [
      {
        name: 'llama.cpp',
        available: true,
        version: '0.7.0',
        path: '/usr/bin/llama-server',
        devices: [
          {
            name: 'CUDA0',
            description: 'NVIDIA GeForce RTX 3090',
            totalBytes: 24 * gib,
            freeBytes: 23 * gib,
          },
        ],
      },
      { name: 'embedded', available: true, version: 'b1', path: '/opt/embedded', devices: [] },
    ],
    servers: ['/usr/bin/llama-server'],
    attached: [],
    ...changes,
  }
}

/** The defaults, and what is set. */
export function config(changes: Partial<Config> = {}): Config {
  const sources = { flags: {}, env: {}, readFile: () => undefined, homeDir: '/home/ada', cwd: '/' }
  return { ...loadConfig(sources).config, ...changes }
}

/** A machine with one card on which all is well, but for what is changed. */
export function machine(changes: Partial<DoctorFacts> = {}): DoctorFacts {
  return {
    nowMs: 1_780_000_000_000,
    devices: [card(), cpuDevice()],
    problems: [],
    host: host(),
    drivers: drivers(),
    kernel: { events: [], killed: [] },
    config: { config: config(), warnings: [] },
    engines: engines(),
    folders: [
      {
        use: 'models',
        path: '/home/ada/.ollama/models',
        at: '/home/ada/.ollama/models',
        owner: 'ada',
        freeBytes: 500 * gib,
        totalBytes: 1000 * gib,
      },
    ],
    otherStores: [],
    server: { url: 'http://127.0.0.1:11434', isLocal: true, state: 'free' },
    ollamas: [],
    late: [],
    ...changes,
  }
}

/** Codes of what is not well, the worst first. */
export function codesOf(facts: DoctorFacts): string[] {
  return diagnose(facts)
    .filter(({ level }) => level !== 'ok')
    .map(({ code }) => code)
}

/** The finding of that code. Throws where there is none. */
export function findingOf(facts: DoctorFacts, code: string): Finding {
  const found = diagnose(facts).find((finding) => finding.code === code)
  if (!found) throw new Error(`there is no ${code} among ${codesOf(facts).join(', ') || 'no findings'}`)
  return found
}

/** A machine that consists of files, and of what programs answer. */
export function recordedSystem(
  files: Readonly<Record<string, string>>,
  programs: Readonly<Record<string, Partial<ProgramResult>>> = {},
  env: HostSystem['env'] = {},
): HostSystem {
  const paths = Object.keys(files)
  return {
    platform: 'linux',
    env,
    run: async (program) => ({ outcome: 'missing', stdout: '', stderr: '', ...programs[program] }),
    readText: (path) => files[path],
    list: (path) => [
      ...new Set(
        paths.flatMap((one) =>
          one.startsWith(`${path}/`) ? (one.slice(path.length + 1).split('/')[0] ?? []) : [],
        ),
      ),
    ],
    realPath: (path) => (paths.some((one) => one === path || one.startsWith(`${path}/`)) ? path : undefined),
    mayUse: (path) => (paths.includes(path) ? true : undefined),
  }
}
