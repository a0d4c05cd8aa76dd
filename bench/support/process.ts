import { readdirSync, readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'

/** CPU time that the threads of a process have used so far (`/proc/PID/stat` counts in steps of 10 ms). Linux. */
export function cpuMs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  const times = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8'))
  return times.reduce((sum, text) => sum + Number(text.split(' ')[0]), 0) / 1e6
}

/** The only child of a process. Linux. */
export function childOf(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
  if (!child) throw new Error(`process ${pid} has no child`)
  return Number(child)
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
