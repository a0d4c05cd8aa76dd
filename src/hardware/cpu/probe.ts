import type { Device, DeviceProbe, DeviceReading, HostSystem, Sensors } from '../contract.ts'
import { readHost } from '../host.ts'
import { present } from '../units.ts'

/** Ticks that a hardware thread has worked, and all that have passed. */
interface Ticks {
  busy: number
  total: number
}

/**
 * The sensors of CPU devices: how busy their cores were since the look before, the machine's memory, and the hottest
 * core where a driver tells it. Linux; elsewhere only the memory.
 */
export function createCpuProbe(devices: () => readonly Device[]): DeviceProbe {
  let before = new Map<number, Ticks>()
  /** By device, for a look that comes before the kernel has counted on. */
  const lastShares = new Map<string, number>()
  const shareOf = (device: Device, now: ReadonlyMap<number, Ticks>) => {
    const share = busyShare(before, now, device.cores) ?? lastShares.get(device.id)
    if (share !== undefined) lastShares.set(device.id, share)
    return share
  }
  return {
    vendor: 'cpu',
    list: async () => ({ vendor: 'cpu', devices: [], links: [], places: [], problems: [] }),
    sample: async (system) => {
      const now = parseStat(system.readText('/proc/stat') ?? '')
      const shared = hostSensors(system)
      const readings = devices()
        .filter(({ kind }) => kind === 'cpu')
        .map(
          (device): DeviceReading => ({
            vendor: 'cpu',
            source: 'host',
            uuid: device.id,
            state: 'ok',
            sensors: present({ ...shared, utilization: shareOf(device, now) }),
          }),
        )
      before = now
      return readings
    },
  }
}

/** Ticks of each hardware thread, from `/proc/stat` (`man 5 proc_stat`): idle and iowait are not work. */
export function parseStat(text: string): Map<number, Ticks> {
  const ticks = new Map<number, Ticks>()
  for (const [, cpu, columns = ''] of text.matchAll(/^cpu(\d+) (.+)$/gm)) {
    const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = columns
      .trim()
      .split(/\s+/)
      .map((column) => Number(column) || 0)
    const busy = user + nice + system + irq + softirq + steal
    ticks.set(Number(cpu), { busy, total: busy + idle + iowait })
  }
  return ticks
}

function busyShare(
  before: ReadonlyMap<number, Ticks>,
  now: ReadonlyMap<number, Ticks>,
  cores: readonly number[] | undefined,
): number | undefined {
  let busy = 0
  let total = 0
  for (const [cpu, ticks] of now) {
    const earlier = before.get(cpu)
    if (!earlier || (cores && !cores.includes(cpu))) continue
    busy += ticks.busy - earlier.busy
    total += ticks.total - earlier.total
  }
  return total > 0 ? Math.min(1, Math.max(0, busy / total)) : undefined
}

function hostSensors(system: HostSystem): Sensors {
  const { totalMemoryBytes, availableMemoryBytes } = readHost()
  return present({
    memoryTotalBytes: totalMemoryBytes,
    memoryUsedBytes: Math.max(0, totalMemoryBytes - availableMemoryBytes),
    temperatureC: cpuTemperature(system),
  }) as Sensors
}

/** Drivers of hwmon that speak of the CPU: Intel's, AMD's, and those of ARM boards. */
const cpuMonitors = /^(coretemp|k10temp|zenpower|cpu_thermal|soc_thermal)$/

function cpuTemperature(system: HostSystem): number | undefined {
  if (system.platform !== 'linux') return undefined
  const root = '/sys/class/hwmon'
  const monitors = system
    .list(root)
    .map((name) => `${root}/${name}`)
    .filter((folder) => cpuMonitors.test((system.readText(`${folder}/name`) ?? '').trim()))
  const temperatures = monitors.flatMap((folder) =>
    system
      .list(folder)
      .filter((name) => /^temp\d+_input$/.test(name))
      .map((name) => Number(system.readText(`${folder}/${name}`) ?? Number.NaN) / 1000)
      .filter((celsius) => Number.isFinite(celsius) && celsius > 0),
  )
  return temperatures.length > 0 ? Math.max(...temperatures) : undefined
}
