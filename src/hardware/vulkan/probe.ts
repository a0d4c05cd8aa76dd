import type { DeviceProbe, DeviceReading, HostSystem, ProbeResult } from '../contract.ts'
import { vulkaninfoReader } from './vulkaninfo.ts'

const timeoutMs = 2000

/**
 * The devices that Vulkan drivers show, whoever made them; those that compute on the CPU are left out. UUID or PCI
 * address are told in the form of the vendor's own tool wherever the driver gives them, so that a card which both see
 * is known as one. Memory is asked of the long form, which takes a second, only where there is a device at all. No
 * `vulkaninfo`, or no Vulkan driver, is no problem: nothing is found.
 */
export const vulkanProbe: DeviceProbe = {
  vendor: 'other',
  async list(system) {
    const result: ProbeResult = { vendor: 'other', devices: [], links: [], places: [], problems: [] }
    const summary = await system.run('vulkaninfo', ['--summary'], timeoutMs)
    if (summary.outcome === 'missing') return result
    if (summary.outcome === 'timeout') {
      const problem = `vulkaninfo did not answer within ${timeoutMs} ms: its devices are not known; a driver may hang`
      return { ...result, problems: [problem] }
    }
    const read = vulkaninfoReader.read(summary.stdout)
    if (!read.ok || read.reading.devices.length === 0) return result
    return { ...result, devices: await withMemory(system, read.reading.devices) }
  },
  // Vulkan tells no sensors, and asking it for the free memory costs a process of a second each time.
  sample: () => Promise.resolve([]),
}

/** Adds what only the long form tells: memory, and the PCI address where the UUID does not hold it. */
async function withMemory(system: HostSystem, devices: readonly DeviceReading[]): Promise<DeviceReading[]> {
  const { stdout } = await system.run('vulkaninfo', [], timeoutMs)
  const read = vulkaninfoReader.read(stdout)
  const long = read.ok ? read.reading.devices : []
  return devices.map((device) => {
    const same = long.find(({ index, name }) => index === device.index && name === device.name)
    return { ...same, ...device }
  })
}
