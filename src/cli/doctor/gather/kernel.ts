import { type DeviceEvent, type HostSystem, parseDrmLine, parseXid } from '../../../hardware/index.ts'
import type { KernelLook } from '../contract.ts'

const limitMs = 2000

/** Each prints the log since the start of the machine; the journal's lets more users in. */
const programs = [
  { name: 'dmesg', args: [] },
  {
    name: 'journalctl',
    args: ['--dmesg', '--boot', '--no-pager', '--output=short-monotonic', '--lines=5000'],
  },
] as const

/** Reads the kernel's log; undefined where this user may not, or there is none. Never throws. */
export async function lookAtKernel(system: HostSystem, nowMs: number): Promise<KernelLook | undefined> {
  const uptimeSeconds = Number(system.readText('/proc/uptime')?.split(' ')[0] ?? Number.NaN)
  if (system.platform !== 'linux' || !Number.isFinite(uptimeSeconds)) return undefined
  for (const { name, args } of programs) {
    const { outcome, stdout } = await system.run(name, args, limitMs)
    if (outcome === 'ok' && /^\[\s*\d/m.test(stdout)) return readLog(stdout, nowMs - uptimeSeconds * 1000)
  }
  return undefined
}

/** Names under which the kernel knows engines and servers; Node's main thread has one of its own. */
const ourPrograms = /^(llama-server|llama-|ollama|drover|node|MainThread|node-MainThread)/

/** What a log tells of devices and of memory. Lines begin with the seconds since `bootMs`: `[36702.454068] ...`. */
export function readLog(text: string, bootMs: number): KernelLook {
  const events: DeviceEvent[] = []
  const killed: KernelLook['killed'][number][] = []
  for (const line of text.split('\n')) {
    const [, seconds, message = ''] = /^\[\s*(\d+\.\d+)\]\s*(.*)$/.exec(line) ?? []
    if (seconds === undefined) continue
    const atMs = bootMs + Number(seconds) * 1000
    const event = parseXid(message) ?? parseDrmLine(message)
    if (event) events.push({ ...event, atMs })
    const [, group, pid, name] =
      /(Memory cgroup out|Out) of memory: Killed process (\d+) \(([^)]*)\)/.exec(message) ?? []
    if (name !== undefined && ourPrograms.test(name)) {
      killed.push({ name, pid: Number(pid), atMs, byLimit: group !== 'Out' })
    }
  }
  return { events, killed }
}
