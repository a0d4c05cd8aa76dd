import { networkInterfaces } from 'node:os'
import type { DeviceReport } from '../../../api/index.ts'
import { clientUrl, type HostAddress } from '../../../config/index.ts'
import type { HostSystem } from '../../../hardware/index.ts'
import type { OllamaProcess, ServerLook } from '../contract.ts'

const limitMs = 2000

/** Asks what listens at an address. Never throws. */
export async function lookAtServer(host: HostAddress): Promise<ServerLook> {
  const url = clientUrl(host)
  const base = { url, isLocal: isLocal(host.address) }
  const [version, devices] = await Promise.all([ask(`${url}/api/version`), ask(`${url}/api/devices`)])
  if (version.refused) return { ...base, state: 'free' }
  if (version.silent) return { ...base, state: 'silent' }
  const told = (version.body as { version?: unknown } | undefined)?.version
  const named = typeof told === 'string' ? { version: told } : {}
  if (isReport(devices.body)) return { ...base, state: 'drover', report: devices.body, ...named }
  return { ...base, state: typeof told === 'string' ? 'ollama' : 'other', ...named }
}

/** Whether a server of Ollama's API answers at a URL. Never throws. */
export async function answers(url: string): Promise<boolean> {
  const { body } = await ask(`${url.replace(/\/$/, '')}/api/version`)
  return typeof (body as { version?: unknown } | undefined)?.version === 'string'
}

/** The JSON at a URL. `refused`: nobody is there; `silent`: nobody answered in time, or not in HTTP. */
async function ask(url: string): Promise<{ body?: unknown; refused?: boolean; silent?: boolean }> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(limitMs), redirect: 'manual' })
    const text = await response.text()
    return response.ok ? { body: jsonOf(text) } : {}
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException
    return ['ECONNREFUSED', 'EADDRNOTAVAIL'].includes(code ?? '') ? { refused: true } : { silent: true }
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // A page of something else.
    return undefined
  }
}

/** Drover's answer; an older or newer one that differs in what is read here is not taken for it. */
function isReport(body: unknown): body is DeviceReport {
  const { devices } = (body ?? {}) as { devices?: unknown }
  return (
    Array.isArray(devices) &&
    devices.every(
      (one: { id?: unknown; health?: { reasons?: unknown }; instances?: unknown } | null) =>
        typeof one?.id === 'string' && Array.isArray(one.health?.reasons) && Array.isArray(one.instances),
    )
  )
}

function isLocal(address: string): boolean {
  if (['localhost', '0.0.0.0', '::', '::1'].includes(address) || address.startsWith('127.')) return true
  return Object.values(networkInterfaces()).some((all) => all?.some((one) => one.address === address))
}

/** Servers of Ollama among the processes of this machine (Linux), by what the kernel tells. */
export function findOllamas(system: HostSystem): OllamaProcess[] {
  const words = (pid: string | number) =>
    (system.readText(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ').trim()
  return system
    .list('/proc')
    .filter((name) => /^\d+$/.test(name) && system.readText(`/proc/${name}/comm`)?.trim() === 'ollama')
    .map((name) => {
      const parentPid = /^PPid:\s*(\d+)/m.exec(system.readText(`/proc/${name}/status`) ?? '')?.[1]
      return { pid: Number(name), command: words(name), parent: parentPid ? words(parentPid) : '' }
    })
    .filter(({ command }) => /\bserve\b/.test(command))
}
