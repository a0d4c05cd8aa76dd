import { parseCpuList } from '../../core/index.ts'
import type { HostSystem } from '../contract.ts'
import { readHost } from '../host.ts'
import { parseMeminfo } from '../proc.ts'

/** A part of the machine with memory of its own. */
export interface NumaNode {
  id: number
  /** Hardware threads in it that this process may use. */
  cpus: number[]
  memoryBytes: number
  /** The kernel's distances to every node, its own (10) among them. */
  distances: number[]
}

/** What the machine computes with when no GPU does. */
export interface CpuFacts {
  model: string
  sockets: number
  physicalCores: number
  /** Hardware threads that this process may use. */
  cpus: number[]
  /** One entry per core: its hardware threads, the first of them first. */
  cores: number[][]
  memoryBytes: number
  /** At least one. */
  numaNodes: NumaNode[]
  /** Instruction sets that engines have code for, `avx2`, `avx512_vnni`, `amx_int8`, `sve`, ... */
  instructionSets: string[]
}

/** Instruction sets that llama.cpp has kernels for. */
const knownSets = new Set([
  'sse4_2',
  'avx',
  'avx2',
  'f16c',
  'fma',
  'bmi2',
  'avx_vnni',
  'avx512f',
  'avx512bw',
  'avx512vl',
  'avx512_vnni',
  'avx512_vbmi',
  'avx512vbmi',
  'avx512_bf16',
  'avx512_fp16',
  'amx_tile',
  'amx_int8',
  'amx_bf16',
  'asimd',
  'asimddp',
  'asimdhp',
  'i8mm',
  'bf16',
  'sve',
  'sve2',
  'svei8mm',
  'sme',
  'sme2',
  'fphp',
])

const nodesFolder = '/sys/devices/system/node'
const cpusFolder = '/sys/devices/system/cpu'

/** Reads the CPU from the kernel's files; on other systems than Linux from what Node knows. Never throws. */
export function readCpu(system: HostSystem): CpuFacts {
  const host = readHost()
  const base = {
    model: host.cpuModel,
    memoryBytes: host.totalMemoryBytes,
    physicalCores: host.physicalCores,
  }
  if (system.platform !== 'linux') {
    const cpus = Array.from({ length: host.logicalCores }, (_, index) => index)
    const numaNodes = [{ id: 0, cpus, memoryBytes: host.totalMemoryBytes, distances: [10] }]
    return { ...base, sockets: 1, cpus, cores: cpus.map((cpu) => [cpu]), numaNodes, instructionSets: [] }
  }
  const cpuinfo = system.readText('/proc/cpuinfo') ?? ''
  const cpus = usableCpus(system, host.logicalCores)
  const { cores, sockets } = readCores(system, cpus)
  return {
    model: /^(?:model name|cpu model|Model)\s*:\s*(.+)$/m.exec(cpuinfo)?.[1]?.trim() ?? host.cpuModel,
    sockets,
    physicalCores: cores.length,
    cpus,
    cores,
    memoryBytes: host.totalMemoryBytes,
    numaNodes: readNodes(system, cpus, host.totalMemoryBytes),
    instructionSets: parseInstructionSets(cpuinfo),
  }
}

/** What this process may run on: its affinity, within the CPUs that are on. */
function usableCpus(system: HostSystem, logicalCores: number): number[] {
  const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(system.readText('/proc/self/status') ?? '')?.[1]
  const online = parseCpuList(system.readText(`${cpusFolder}/online`) ?? '')
  const mine = allowed === undefined ? undefined : parseCpuList(allowed)
  const cpus = mine && online ? mine.filter((cpu) => online.includes(cpu)) : (mine ?? online)
  return cpus && cpus.length > 0 ? cpus : Array.from({ length: logicalCores }, (_, index) => index)
}

function readCores(system: HostSystem, cpus: readonly number[]): { cores: number[][]; sockets: number } {
  const cores = new Map<string, number[]>()
  const sockets = new Set<string>()
  for (const cpu of cpus) {
    const topology = `${cpusFolder}/cpu${cpu}/topology`
    const socket = system.readText(`${topology}/physical_package_id`)?.trim() ?? '0'
    const core = system.readText(`${topology}/core_id`)?.trim() ?? `cpu${cpu}`
    sockets.add(socket)
    const key = `${socket}:${core}`
    cores.set(key, [...(cores.get(key) ?? []), cpu])
  }
  return { cores: [...cores.values()], sockets: Math.max(1, sockets.size) }
}

function readNodes(system: HostSystem, cpus: readonly number[], totalBytes: number): NumaNode[] {
  const ids = system
    .list(nodesFolder)
    .flatMap((name) => /^node(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
  const nodes = ids.map((id): NumaNode => {
    const folder = `${nodesFolder}/node${id}`
    const own = parseCpuList(system.readText(`${folder}/cpulist`) ?? '') ?? []
    const distances = (system.readText(`${folder}/distance`) ?? '').trim().split(/\s+/).map(Number)
    return {
      id,
      cpus: own.filter((cpu) => cpus.includes(cpu)),
      memoryBytes: parseNodeMemory(system.readText(`${folder}/meminfo`) ?? '') ?? 0,
      distances: distances.every(Number.isFinite) ? distances : [],
    }
  })
  const usable = nodes.filter((node) => node.cpus.length > 0)
  return usable.length > 0 ? usable : [{ id: 0, cpus: [...cpus], memoryBytes: totalBytes, distances: [10] }]
}

/** `Node 0 MemTotal: 131889884 kB` in bytes. */
export function parseNodeMemory(meminfo: string): number | undefined {
  return parseMeminfo(meminfo.replace(/^Node \d+ /gm, ''), 'MemTotal')
}

/** The instruction sets in the text of `/proc/cpuinfo` that matter here: `flags` on x86, `Features` on ARM. */
export function parseInstructionSets(cpuinfo: string): string[] {
  const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1] ?? ''
  return [...new Set(line.split(/\s+/))].filter((flag) => knownSets.has(flag))
}
