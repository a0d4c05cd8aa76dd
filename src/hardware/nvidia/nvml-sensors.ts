import type { DeviceProcess, EccCounts, Sensors } from '../contract.ts'
import { present } from '../units.ts'
import { filled } from './cells.ts'
import type { Nvml } from './nvml.ts'
import { type NvmlDevice, nvmlCodes, sizeAt, textIn } from './nvml-calls.ts'
import { throttleOfMask } from './throttle.ts'

/** Numbers of nvml.h. */
const graphics = 0
const memory = 2
const gpuSensor = 0
const shutdownThreshold = 0
const slowdownThreshold = 1
const memoryTemperatureField = 82
const [correctedErrors, uncorrectedErrors] = [0, 1]
const volatileCounter = 0

const ratio = (percent: number | undefined): number | undefined =>
  percent === undefined || percent > 100 ? undefined : percent / 100
const watts = (milliwatts: number | undefined): number | undefined =>
  milliwatts === undefined ? undefined : milliwatts / 1000

/** What does not change while the card is open. */
export async function fixedSensors(device: NvmlDevice): Promise<Sensors> {
  return present({
    slowdownC: await device.u32('nvmlDeviceGetTemperatureThreshold', slowdownThreshold),
    shutdownC: await device.u32('nvmlDeviceGetTemperatureThreshold', shutdownThreshold),
    graphicsClockMaxMhz: await device.u32('nvmlDeviceGetMaxClockInfo', graphics),
    memoryClockMaxMhz: await device.u32('nvmlDeviceGetMaxClockInfo', memory),
  })
}

/** What changes from second to second. */
export async function fastSensors(device: NvmlDevice): Promise<Sensors> {
  const rates = Buffer.alloc(8)
  const hasRates = await device.ask('nvmlDeviceGetUtilizationRates', rates)
  const reasons =
    (await device.u64('nvmlDeviceGetCurrentClocksEventReasons')) ??
    (await device.u64('nvmlDeviceGetCurrentClocksThrottleReasons'))
  return present({
    utilization: hasRates ? ratio(rates.readUInt32LE(0)) : undefined,
    memoryUtilization: hasRates ? ratio(rates.readUInt32LE(4)) : undefined,
    ...(await memoryOf(device)),
    temperatureC: await device.u32('nvmlDeviceGetTemperature', gpuSensor),
    memoryTemperatureC: await memoryTemperature(device),
    powerWatts: watts(await device.u32('nvmlDeviceGetPowerUsage')),
    powerLimitWatts: watts(await device.u32('nvmlDeviceGetEnforcedPowerLimit')),
    graphicsClockMhz: await device.u32('nvmlDeviceGetClockInfo', graphics),
    memoryClockMhz: await device.u32('nvmlDeviceGetClockInfo', memory),
    throttle: reasons === undefined ? undefined : throttleOfMask(reasons),
    fanRatio: ratio(await device.u32('nvmlDeviceGetFanSpeed')),
  })
}

/** What may wait some seconds: counters of errors, the PCIe link. */
export async function slowSensors(device: NvmlDevice): Promise<Sensors> {
  const pcie = filled(
    present({
      generation: await device.u32('nvmlDeviceGetCurrPcieLinkGeneration'),
      width: await device.u32('nvmlDeviceGetCurrPcieLinkWidth'),
      maxGeneration: await device.u32('nvmlDeviceGetMaxPcieLinkGeneration'),
      maxWidth: await device.u32('nvmlDeviceGetMaxPcieLinkWidth'),
    }),
  )
  return present({
    pcie,
    pcieReplays: await device.u32('nvmlDeviceGetPcieReplayCounter'),
    ecc: filled(await eccOf(device)),
  })
}

/** `nvmlMemory_v2_t` counts what the driver keeps for itself apart, as nvidia-smi does; the first version as used. */
export async function memoryOf(device: NvmlDevice): Promise<Sensors> {
  const second = Buffer.alloc(40)
  second.writeUInt32LE(40 | (2 << 24))
  if (await device.ask('nvmlDeviceGetMemoryInfo_v2', second)) {
    return present({ memoryTotalBytes: sizeAt(second, 8), memoryUsedBytes: sizeAt(second, 32) })
  }
  const first = Buffer.alloc(24)
  if (!(await device.ask('nvmlDeviceGetMemoryInfo', first))) return {}
  return present({ memoryTotalBytes: sizeAt(first, 0), memoryUsedBytes: sizeAt(first, 16) })
}

/** `nvmlFieldValue_t`: id, scope, time, latency, type, return code, value. */
async function memoryTemperature(device: NvmlDevice): Promise<number | undefined> {
  const field = Buffer.alloc(40)
  field.writeUInt32LE(memoryTemperatureField)
  if (!(await device.ask('nvmlDeviceGetFieldValues', 1, field))) return undefined
  return field.readUInt32LE(28) === nvmlCodes.success ? field.readUInt32LE(32) : undefined
}

async function eccOf(device: NvmlDevice): Promise<EccCounts> {
  const [current, pending] = [Buffer.alloc(4), Buffer.alloc(4)]
  const enabled = (await device.ask('nvmlDeviceGetEccMode', current, pending))
    ? current.readUInt32LE() === 1
    : undefined
  const errors = async (kind: number): Promise<number | undefined> => {
    const count = await device.u64('nvmlDeviceGetTotalEccErrors', kind, volatileCounter)
    return count === undefined ? undefined : Number(count)
  }
  return present({
    enabled,
    corrected: await errors(correctedErrors),
    uncorrected: await errors(uncorrectedErrors),
    ...(await repairsOf(device)),
  })
}

/** Rows that were remapped, on cards from Ampere on; before, pages that were retired. */
async function repairsOf(device: NvmlDevice): Promise<EccCounts> {
  const rows = [Buffer.alloc(4), Buffer.alloc(4), Buffer.alloc(4), Buffer.alloc(4)] as const
  if (await device.ask('nvmlDeviceGetRemappedRows', ...rows)) {
    const [corrected, uncorrected, pending, failed] = rows.map((row) => row.readUInt32LE())
    return {
      retired: (corrected ?? 0) + (uncorrected ?? 0),
      pending: pending === 1,
      remapFailed: failed === 1,
    }
  }
  const pending = await device.u32('nvmlDeviceGetRetiredPagesPendingStatus')
  return present({ pending: pending === undefined ? undefined : pending === 1 })
}

/** Room for so many processes on a card. */
const mostProcesses = 256

/** `nvmlProcessInfo_t`: pid, padding, used memory, GPU instance, compute instance. */
const processBytes = 24

/** The processes on a card or MIG instance, with the memory that they hold; undefined where it does not tell. */
export async function processesOf(device: NvmlDevice, nameOf: NameOf): Promise<DeviceProcess[] | undefined> {
  const computing = await listOf(device, 'nvmlDeviceGetComputeRunningProcesses')
  const drawing = await listOf(device, 'nvmlDeviceGetGraphicsRunningProcesses')
  if (computing === undefined && drawing === undefined) return undefined
  const processes: DeviceProcess[] = []
  for (const pid of new Set([...(computing?.keys() ?? []), ...(drawing?.keys() ?? [])])) {
    const memoryBytes = computing?.get(pid) ?? drawing?.get(pid)
    const kind = computing?.has(pid) ? (drawing?.has(pid) ? 'both' : 'compute') : 'graphics'
    processes.push(
      present({ pid, name: await nameOf(pid), memoryBytes: memoryBytes ?? undefined, kind } as const),
    )
  }
  return processes
}

/** Memory by process; null where the driver does not tell it. */
async function listOf(device: NvmlDevice, name: string): Promise<Map<number, number | null> | undefined> {
  for (const version of ['_v3', '_v2']) {
    const count = Buffer.alloc(4)
    count.writeUInt32LE(mostProcesses)
    const list = Buffer.alloc(mostProcesses * processBytes)
    const code = await device.code(`${name}${version}`, count, list)
    if (code === undefined || code === nvmlCodes.notSupported) continue
    if (code !== nvmlCodes.success) return undefined
    const found = Math.min(count.readUInt32LE(), mostProcesses)
    return new Map(
      Array.from({ length: found }, (_, at) => [
        list.readUInt32LE(at * processBytes),
        sizeAt(list, at * processBytes + 8) ?? null,
      ]),
    )
  }
  return undefined
}

export type NameOf = (pid: number) => Promise<string | undefined>

/** Names of processes, each asked once; a number that comes back may be another program, so names are kept a while only. */
export function processNames(nvml: Nvml): NameOf {
  const names = new Map<number, string | undefined>()
  return async (pid) => {
    if (names.size > mostProcesses) names.clear()
    if (!names.has(pid)) {
      const out = Buffer.alloc(256)
      const code = await nvml.call('nvmlSystemGetProcessName', pid, out, out.length)
      names.set(pid, code === nvmlCodes.success ? textIn(out) : undefined)
    }
    return names.get(pid)
  }
}
