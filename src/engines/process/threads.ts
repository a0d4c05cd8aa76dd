import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

let cached: number | undefined

/**
 * How many CPU threads an instance takes by default: one fewer than the physical cores that this process may
 * use, at least one. llama.cpp's threads wait for each other by spinning, so one that has to share its core
 * (with a hyper-thread, or with Drover itself) slows all the others many times over.
 */
export function defaultThreads(): number {
  cached ??= Math.max(1, Math.min(physicalCores() ?? Number.POSITIVE_INFINITY, availableParallelism()) - 1)
  return cached
}

function physicalCores(): number | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    return countPhysicalCores(readFileSync('/proc/cpuinfo', 'utf8'))
  } catch {
    // No /proc in this container: the count of usable CPUs has to do.
    return undefined
  }
}

/** Distinct pairs of socket and core in `/proc/cpuinfo`; undefined where it names none (ARM). */
export function countPhysicalCores(cpuinfo: string): number | undefined {
  const cores = new Set<string>()
  for (const processor of cpuinfo.split(/\n\s*\n/)) {
    const core = /^core id\s*:\s*(\d+)/m.exec(processor)?.[1]
    const socket = /^physical id\s*:\s*(\d+)/m.exec(processor)?.[1]
    if (core !== undefined) cores.add(`${socket}:${core}`)
  }
  return cores.size || undefined
}
