import type { DeviceProbe, DeviceReading, OutputReader, ProbeResult } from '../contract.ts'
import { parseVmStat } from '../proc.ts'
import { present } from '../units.ts'
import { ioregReader } from './ioreg.ts'
import { type MacFacts, parseSysctl, readMacFacts, sysctlNames } from './memory.ts'
import { pmsetReader } from './pmset.ts'
import { systemProfilerReader } from './system-profiler.ts'

const source = 'macOS'
const timeoutMs = 2000
const ioregArguments = ['-r', '-d', '1', '-w', '0', '-c', 'AGXAccelerator']

/**
 * The GPU of an Apple chip, which shares all memory with the processor: `memoryTotalBytes` is what Metal may take of
 * it. On Intel Macs the GPUs as `system_profiler` lists them. On other systems nothing is run.
 */
export const appleProbe: DeviceProbe = {
  vendor: 'apple',
  async list(system) {
    const result: ProbeResult = { vendor: 'apple', devices: [], links: [], places: [], problems: [] }
    if (system.platform !== 'darwin') return result
    const [profile, sysctl, ioreg, therm, vmStat] = await Promise.all([
      system.run('system_profiler', ['SPDisplaysDataType', '-json'], timeoutMs),
      system.run('sysctl', sysctlNames, timeoutMs),
      system.run('ioreg', ioregArguments, timeoutMs),
      system.run('pmset', ['-g', 'therm'], timeoutMs),
      system.run('vm_stat', [], timeoutMs),
    ])
    const facts = readMacFacts(parseSysctl(sysctl.stdout))
    const listed = devicesOf(systemProfilerReader, profile.stdout)
    const ownGpu = {
      ...first(ioregReader, ioreg.stdout),
      throttle: first(pmsetReader, therm.stdout)?.sensors?.throttle,
    }
    const isAppleChip = listed.some(isApple) || ownGpu.vendor === 'apple' || facts.chip !== undefined
    const devices = isAppleChip
      ? [appleGpu(listed.find(isApple), ownGpu, facts, parseVmStat(vmStat.stdout))]
      : listed
    const problems = listed.length > 0 ? [] : [noProfile(profile.outcome, isAppleChip)]
    return { ...result, devices, problems }
  },
  async sample(system) {
    if (system.platform !== 'darwin') return []
    const { stdout } = await system.run('ioreg', ioregArguments, timeoutMs)
    return devicesOf(ioregReader, stdout)
  },
}

function noProfile(outcome: string, isAppleChip: boolean): string {
  const instead = isAppleChip
    ? 'name and cores come from sysctl and ioreg'
    : 'this Mac has no GPU that can be used'
  return `system_profiler SPDisplaysDataType told no GPU (${outcome}): ${instead}`
}

const isApple = ({ vendor }: DeviceReading) => vendor === 'apple'

function devicesOf(reader: OutputReader, text: string): DeviceReading[] {
  const read = reader.read(text)
  return read.ok ? read.reading.devices : []
}

const first = (reader: OutputReader, text: string) => devicesOf(reader, text)[0]

/** One GPU of what four programs say: the name falls back from profiler to ioreg to the chip. */
function appleGpu(
  profiled: DeviceReading | undefined,
  seen: Partial<DeviceReading> & { throttle: NonNullable<DeviceReading['sensors']>['throttle'] },
  facts: MacFacts,
  availableBytes: number | undefined,
): DeviceReading {
  const usedBytes = seen.sensors?.memoryUsedBytes
  const { gpuLimitBytes } = facts
  const free = [gpuLimitBytes === undefined ? undefined : gpuLimitBytes - (usedBytes ?? 0), availableBytes]
  const freeBytes = Math.min(...free.map((bytes) => bytes ?? Number.POSITIVE_INFINITY))
  const sensors = present({ ...seen.sensors, memoryTotalBytes: gpuLimitBytes, throttle: seen.throttle })
  return present({
    vendor: 'apple',
    source,
    index: 0,
    kind: 'integrated',
    name: profiled?.name ?? seen.name ?? facts.chip,
    computeUnits: profiled?.computeUnits ?? seen.computeUnits,
    architecture: seen.architecture,
    runtime: profiled?.runtime,
    memoryTotalBytes: gpuLimitBytes,
    memoryFreeBytes: gpuLimitBytes === undefined ? undefined : Math.max(0, freeBytes),
    state: 'ok',
    sensors: Object.keys(sensors).length > 0 ? sensors : undefined,
  })
}
