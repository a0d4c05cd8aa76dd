import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { EngineDevice, EngineProbe } from '../contract.ts'
import { onlyDevice, startProcess } from './process.ts'
import type { Discovery } from './protocol.ts'

/** Looking for devices may take a driver's start; longer is a hang. */
const probeTimeoutMs = 20_000

/** Asks the library, in a process of its own, what it can use. Never throws. */
export async function probe(): Promise<EngineProbe> {
  try {
    const path = dirname(fileURLToPath(import.meta.resolve('node-llama-cpp')))
    const found = await discover()
    return {
      available: true,
      version: found.llamaCpp,
      path,
      devices: await devicesOf(found),
      flags: new Set(),
    }
  } catch (error) {
    return { available: false, reason: error instanceof Error ? error.message : String(error) }
  }
}

/** The library tells only the sum of all devices' memory, so each of several is asked alone. */
async function devicesOf({ devices, totalBytes, freeBytes }: Discovery): Promise<EngineDevice[]> {
  if (devices.length <= 1) return devices.map((device) => ({ ...device, totalBytes, freeBytes }))
  const alone = await Promise.all(devices.map((_, index) => discover(index)))
  return devices.map((device, index) => ({
    ...device,
    totalBytes: alone[index]?.totalBytes ?? 0,
    freeBytes: alone[index]?.freeBytes ?? 0,
  }))
}

async function discover(deviceIndex?: number): Promise<Discovery> {
  const { child, exited, output } = startProcess('discover', {
    env: deviceIndex === undefined ? undefined : onlyDevice(deviceIndex, process.env),
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), probeTimeoutMs)
  const found = new Promise<Discovery>((resolve) => {
    child.once('message', (message) => resolve(message as Discovery))
  })
  const discovery = await Promise.race([found, exited.then(() => undefined)])
  clearTimeout(timer)
  if (discovery) return discovery
  const reason = output().trim().split('\n').at(-1) || (await exited).reason
  throw new Error(`node-llama-cpp does not start here: ${reason}`)
}
