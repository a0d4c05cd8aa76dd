import type { DeviceReport } from '../../api/index.ts'
import {
  createCpuProbe,
  createDeviceFinder,
  type Device,
  type DeviceReading,
  deviceProbes,
  factsOf,
  hostSystem,
  judgeEvent,
  type Link,
  outputReaders,
  type ProbeResult,
  type Reading,
  readingsToDevices,
  readOutput,
  type Vendor,
  verdictOf,
} from '../../hardware/index.ts'
import { readSettings } from '../settings.ts'

/** The devices of this machine without a server: found now, their sensors looked at once. */
export async function localReport(): Promise<DeviceReport> {
  const finder = createDeviceFinder({ system: hostSystem, probes: deviceProbes, factsOf })
  const { devices, links, problems } = await finder.find()
  const nowMs = Date.now()
  const probes = [...deviceProbes, createCpuProbe(() => devices)]
  const readings = (await Promise.all(probes.map((probe) => probe.sample(hostSystem)))).flat()
  const withSensors = devices.map((device) => {
    const sensors = readings.find((reading) => isOf(reading, device))?.sensors
    return sensors ? { ...device, sensors: { ...device.sensors, ...sensors } } : device
  })
  return reportOf(withSensors, links, problems, nowMs)
}

function isOf(reading: DeviceReading, device: Device): boolean {
  if (reading.uuid !== undefined && device.uuid !== undefined) return reading.uuid === device.uuid
  return reading.pciAddress !== undefined && reading.pciAddress === device.pciAddress
}

/** What recorded outputs of tools tell, one text a file; a text that cannot be read is a problem. */
export function recordedReport(files: readonly { name: string; text: string }[]): DeviceReport {
  const readings: Reading[] = []
  const problems: string[] = []
  for (const { name, text } of files) {
    const result = readOutput(text, outputReaders)
    if (!result.ok) {
      problems.push(`${name}: ${result.reason}`)
      continue
    }
    const { tool, notes } = result.reading
    problems.push(...notes.map((note) => `${name} (${tool}): ${note}`))
    readings.push(result.reading)
  }
  const results = [...Map.groupBy(readings, programOf).values()].map(togetherOf)
  const { devices, links } = readingsToDevices(results, { env: {}, factsOf, knownIds: new Map() })
  return reportOf(devices, links, problems, Date.now())
}

/** `nvidia-smi` of `nvidia-smi topo -m`: its cards have one number in whatever it prints. */
function programOf({ tool }: Reading): string {
  return tool.split(' ')[0] ?? tool
}

/** All that one program printed: a matrix speaks of the cards that another of its texts lists, or of nothing but numbers. */
function togetherOf(readings: readonly Reading[]): ProbeResult {
  const told = readings.flatMap(({ devices }) => devices)
  const places = readings.flatMap(({ places }) => places)
  const vendor = told[0]?.vendor ?? vendors[readings[0] ? programOf(readings[0]) : ''] ?? 'other'
  const numbered = places.flatMap(({ index }): DeviceReading[] =>
    index === undefined ? [] : [{ vendor, source: 'topology', index, name: `${vendor} card ${index}` }],
  )
  return {
    vendor,
    devices: told.length > 0 ? told : numbered,
    links: readings.flatMap(({ links }) => links),
    places,
    problems: [],
  }
}

/** Whose cards a program speaks of that names none. */
const vendors: Readonly<Record<string, Vendor>> = {
  'nvidia-smi': 'nvidia',
  'amd-smi': 'amd',
  'rocm-smi': 'amd',
  'xpu-smi': 'intel',
}

function reportOf(
  devices: readonly Device[],
  links: readonly Link[],
  problems: readonly string[],
  nowMs: number,
): DeviceReport {
  return {
    devices: devices.map((device) => {
      const { state, stateReason, sensors } = device
      const look = {
        atMs: nowMs,
        state,
        ...(stateReason !== undefined && { stateReason }),
        ...(sensors && { sensors }),
      }
      const health = verdictOf({ device, recent: [look], events: [], nowMs, judgeEvent })
      return { ...device, health, used: state === 'ok', instances: [] }
    }),
    links: [...links],
    problems: [...problems],
  }
}

/** From the server where one answers, else from this machine. */
export async function currentReport(): Promise<{ report: DeviceReport; from: string }> {
  const { createClient } = await import('../client.ts')
  const client = createClient(readSettings().config.host)
  try {
    return { report: await client.get<DeviceReport>('/api/devices'), from: client.url }
  } catch {
    // No server, or one that is Ollama: this machine's devices can be told all the same.
    return { report: await localReport(), from: 'this machine' }
  }
}
