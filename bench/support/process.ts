import { readdirSync, readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'

/** The kernel's unit of CPU time in `/proc/PID/stat`: 100 a second on every Linux that Node runs on. */
const ticksPerSecond = 100

/** CPU time that a process has used so far, user and system. Linux. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The command's name may hold spaces and brackets; the fields are counted after its last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond
}

/** Memory that a process holds in RAM, and what of it is its own (not shared files). Linux. */
export function residentBytes(pid: number): { total: number; anonymous: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const read = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024
  return { total: read('VmRSS'), anonymous: read('RssAnon') }
}

/** Open files, sockets and pipes of a process. Linux. */
export function openHandles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** One line that says on what machine numbers were measured. */
export function machineLine(): string {
  const model = cpus()[0]?.model ?? 'unknown CPU'
  return `${model}, ${cpus().length} logical cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release()}, Node ${process.versions.node}`
}
