/**
 * The sensors of a card as i915 and xe give them in sysfs (kernel documents `sysfs-driver-intel-i915-hwmon`,
 * `sysfs-driver-intel-xe-hwmon`; drivers/gpu/drm/xe/xe_gt_throttle.c). Reading any of them wakes a card that sleeps.
 */
import type { Sensors, ThrottleReason } from '../contract.ts'
import type { SysfsFiles } from '../pci/path.ts'
import { numberOf, present } from '../units.ts'
import { distinct, throttleOfFile, throttleReasonOf } from './throttle.ts'

interface CardFolder {
  folder: string
  driver?: string
}

type Read = (path: string) => number | undefined

/** Reads numbers below a card's folder; a negative one is none. */
function readerOf(files: SysfsFiles, { folder }: CardFolder): Read {
  return (path) => {
    const value = numberOf(files.readText(`${folder}/${path}`)?.trim())
    return value === undefined || value < 0 ? undefined : value
  }
}

/** One look, without what takes two (power and utilization). Empty of a card that sleeps. */
export function readSensors(files: SysfsFiles, card: CardFolder): Sensors {
  if (isAsleep(files, card)) return {}
  const { folder } = card
  const read = readerOf(files, card)
  return present({
    ...hwmonSensors(files, card, read),
    graphicsClockMhz: first(read, clockFiles),
    graphicsClockMaxMhz: first(read, clockMaxFiles),
    throttle: throttleIn(files, folder),
    ...readMemory(files, card),
  })
}

/** A card that sleeps is left asleep. */
function isAsleep(files: SysfsFiles, { folder }: CardFolder): boolean {
  return files.readText(`${folder}/device/power/runtime_status`)?.trim() === 'suspended'
}

/** Newer paths first; xe gives them below the tile, i915 below the card. */
const clockFiles = ['device/tile0/gt0/freq0/act_freq', 'gt/gt0/rps_act_freq_mhz', 'gt_act_freq_mhz']
const clockMaxFiles = [
  'device/tile0/gt0/freq0/rp0_freq',
  'device/tile0/gt0/freq0/max_freq',
  'gt/gt0/rps_RP0_freq_mhz',
  'gt_RP0_freq_mhz',
  'gt_max_freq_mhz',
]
const idleFiles = [
  'device/tile0/gt0/gtidle/idle_residency_ms',
  'gt/gt0/rc6_residency_ms',
  'power/rc6_residency_ms',
]

function first(read: Read, paths: readonly string[]): number | undefined {
  for (const path of paths) {
    const value = read(path)
    if (value !== undefined) return value
  }
  return undefined
}

function hwmonFolder(files: SysfsFiles, { folder }: CardFolder): string | undefined {
  const [name] = files.list(`${folder}/device/hwmon`).filter((entry) => /^hwmon\d+$/.test(entry))
  return name === undefined ? undefined : `device/hwmon/${name}`
}

const milli = (value: number | undefined) => (value === undefined ? undefined : value / 1000)

function hwmonSensors(files: SysfsFiles, card: CardFolder, read: Read): Sensors {
  const hwmon = hwmonFolder(files, card)
  if (hwmon === undefined) return {}
  const at = (name: string) => read(`${hwmon}/${name}`)
  const channel = temperatureChannels(files, card, hwmon)
  // 0 stands for a limit that is switched off: then the board's own holds.
  const limit = [at('power1_max'), at('power1_rated_max'), at('power1_cap'), at('power2_max')].find(
    (value) => value !== undefined && value > 0,
  )
  const fans = [1, 2, 3].flatMap((fan) => at(`fan${fan}_input`) ?? [])
  return present({
    temperatureC: milli(at(`temp${channel.package}_input`)),
    memoryTemperatureC: milli(at(`temp${channel.memory}_input`)),
    slowdownC: milli(at(`temp${channel.package}_crit`)),
    shutdownC: milli(at(`temp${channel.package}_emergency`)),
    powerLimitWatts: limit === undefined ? undefined : limit / 1e6,
    // Boards that share one line among their fans show the others as standing still.
    fanRpm: fans.length > 0 ? Math.max(...fans) : undefined,
  })
}

/** i915 has the package at 1; xe has the package at 2 and the memory at 3. Labels, where there are any, decide. */
function temperatureChannels(files: SysfsFiles, { folder, driver }: CardFolder, hwmon: string) {
  const label = (channel: number) => files.readText(`${folder}/${hwmon}/temp${channel}_label`)?.trim()
  const labelled = (word: RegExp) => [1, 2, 3].find((channel) => word.test(label(channel) ?? ''))
  return {
    package: labelled(/^(pkg|package)$/i) ?? (driver === 'xe' ? 2 : 1),
    memory: labelled(/^(vram|memory)$/i) ?? 3,
  }
}

/** `reasons` holds them all in newer kernels; older ones have a file of 0 or 1 for each, i915 beside other files. */
function throttleIn(files: SysfsFiles, folder: string): ThrottleReason[] | undefined {
  const xe = `${folder}/device/tile0/gt0/freq0/throttle`
  const text = files.readText(`${xe}/reasons`)
  if (text !== undefined) return throttleOfFile(text)
  return (
    flagsIn(files, xe, 'reason_', 'status') ??
    flagsIn(files, `${folder}/gt/gt0`, 'throttle_reason_', 'throttle_reason_status')
  )
}

function flagsIn(
  files: SysfsFiles,
  folder: string,
  prefix: string,
  status: string,
): ThrottleReason[] | undefined {
  const isSet = (name: string) => files.readText(`${folder}/${name}`)?.trim() === '1'
  const overall = files.readText(`${folder}/${status}`)?.trim()
  if (overall === '0') return []
  const names = files.list(folder).filter((name) => name.startsWith(prefix) && name !== status)
  if (overall === undefined && names.length === 0) return undefined
  const reasons = names.filter(isSet).map((name) => throttleReasonOf(name.slice(prefix.length)))
  return reasons.length === 0 && overall === '1' ? ['other'] : distinct(reasons)
}

/** Bytes of the card's own memory and those in use, where the driver tells them: i915 for the card, xe for each tile. */
export function readMemory(
  files: SysfsFiles,
  card: CardFolder,
): Pick<Sensors, 'memoryUsedBytes' | 'memoryTotalBytes'> {
  const read = readerOf(files, card)
  const sum = (name: string) => {
    const tiles = [0, 1, 2, 3].flatMap((tile) => read(`device/tile${tile}/vram0/${name}`) ?? [])
    return tiles.length > 0 ? tiles.reduce((all, value) => all + value, 0) : undefined
  }
  const total = read('lmem_total_bytes') ?? sum('total_bytes')
  return present({ memoryUsedBytes: sum('used_bytes'), memoryTotalBytes: total === 0 ? undefined : total })
}

/** What only grows, with when it was read; two of them give power and utilization. */
export interface Counters {
  atMs: number
  /** Of the whole card, or else of its package. */
  energyMicrojoules?: number
  /** How long the graphics unit has slept. */
  idleMs?: number
}

export function readCounters(files: SysfsFiles, card: CardFolder, atMs: number): Counters {
  if (isAsleep(files, card)) return { atMs }
  const read = readerOf(files, card)
  const hwmon = hwmonFolder(files, card)
  const energy = hwmon === undefined ? [] : [`${hwmon}/energy1_input`, `${hwmon}/energy2_input`]
  return present({ atMs, energyMicrojoules: first(read, energy), idleMs: first(read, idleFiles) })
}

/** Two looks nearer than this give no figure: the counters move in steps. */
const shortestMs = 50

/**
 * Power from the energy that went by, and as utilization the share of time in which the graphics unit did not sleep.
 * Nothing where a counter went back (the driver was loaded anew).
 */
export function ratesBetween(
  before: Counters | undefined,
  now: Counters,
): Pick<Sensors, 'powerWatts' | 'utilization'> {
  const elapsedMs = now.atMs - (before?.atMs ?? now.atMs)
  if (elapsedMs < shortestMs) return {}
  const microjoules = difference(now.energyMicrojoules, before?.energyMicrojoules)
  const idleMs = difference(now.idleMs, before?.idleMs)
  return present({
    powerWatts: microjoules === undefined ? undefined : microjoules / 1000 / elapsedMs,
    utilization: idleMs === undefined ? undefined : Math.min(1, Math.max(0, 1 - idleMs / elapsedMs)),
  })
}

function difference(now: number | undefined, before: number | undefined): number | undefined {
  return now === undefined || before === undefined || now < before ? undefined : now - before
}
