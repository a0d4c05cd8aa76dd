import { formatCpuList } from '../../core/index.ts'
import type { Device } from '../contract.ts'
import type { CpuFacts } from './facts.ts'

/** How the CPU is cut into devices. */
export type CpuPart =
  /** All of it, as one device that is held to no cores. */
  | { kind: 'whole' }
  /** One device for each NUMA node. */
  | { kind: 'numa' }
  /** These cores. */
  | { kind: 'cores'; cores: readonly number[] }

/**
 * The CPU as devices. Several of them share the memory: a NUMA node's own, or by the number of their cores. Throws for
 * cores that this process may not use, naming them.
 */
export function cpuDevices(cpu: CpuFacts, parts: readonly CpuPart[]): Device[] {
  return parts.flatMap((part) => {
    if (part.kind === 'whole') return [deviceOf(cpu, 'cpu', undefined, cpu.memoryBytes)]
    if (part.kind === 'numa') return cpu.numaNodes.map((node) => nodeDevice(cpu, node))
    const missing = part.cores.filter((core) => !cpu.cpus.includes(core))
    if (missing.length > 0) {
      throw new Error(
        `devices: cpu:${formatCpuList(part.cores)} names cores that are not there for this process ` +
          `(${formatCpuList(missing)}): it may use ${formatCpuList(cpu.cpus)}`,
      )
    }
    const share = cpu.memoryBytes * (part.cores.length / cpu.cpus.length)
    return [deviceOf(cpu, `cpu:${formatCpuList(part.cores)}`, part.cores, share)]
  })
}

function nodeDevice(cpu: CpuFacts, node: CpuFacts['numaNodes'][number]): Device {
  const memoryBytes = node.memoryBytes || cpu.memoryBytes / cpu.numaNodes.length
  return { ...deviceOf(cpu, `numa:${node.id}`, node.cpus, memoryBytes), numaNode: node.id }
}

function deviceOf(
  cpu: CpuFacts,
  id: string,
  cores: readonly number[] | undefined,
  memoryTotalBytes: number,
): Device {
  const sets = cpu.instructionSets
  const has = (...names: string[]) => names.some((name) => sets.includes(name))
  const own = cores ?? cpu.cpus
  const nodes = cpu.numaNodes.filter((node) => node.cpus.some((core) => own.includes(core)))
  const numaNode = nodes.length === 1 ? nodes[0]?.id : undefined
  return {
    id,
    vendor: 'cpu',
    kind: 'cpu',
    name: cpu.model,
    state: 'ok',
    sources: ['host'],
    // What its sensors are told by.
    uuid: id,
    memoryTotalBytes: Math.floor(memoryTotalBytes),
    unifiedMemory: false,
    architecture: sets.join(' ') || process.arch,
    computeUnits: cpu.cores.filter((threads) => threads.some((thread) => own.includes(thread))).length,
    ...(cores && { cores: [...cores] }),
    ...(numaNode !== undefined && { numaNode }),
    facts: {
      tflops: {},
      supports: {
        fp16: has('avx512_fp16', 'asimdhp', 'fphp'),
        bf16: has('avx512_bf16', 'amx_bf16', 'bf16'),
        int8: has('avx_vnni', 'avx512_vnni', 'amx_int8', 'asimddp', 'i8mm'),
        fp8: false,
        fp4: false,
      },
    },
  }
}
