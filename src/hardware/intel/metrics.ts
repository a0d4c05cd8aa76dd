/**
 * One table for the measurements of xpu-smi, which names them one way in tables and CSV (`GPU Core Temperature
 * (Celsius Degree)`) and another in JSON (`XPUM_STATS_GPU_CORE_TEMPERATURE`).
 */
import type { Sensors, ThrottleReason } from '../contract.ts'
import { bytesOf, numberOf, present, ratioOf } from '../units.ts'
import { distinct, throttleOf, throttleOfFlags } from './throttle.ts'

/** One measurement as it was written. */
export interface Metric {
  name: string
  value: string
  /** Absent: of the whole card. */
  tile?: number
}

type Fold = (values: readonly number[]) => number

/** To a millionth: 0.2 and 0.4 have 0.3 between them. */
const mean: Fold = (values) => Math.round((sum(values) / values.length) * 1e6) / 1e6
const sum: Fold = (values) => values.reduce((total, value) => total + value, 0)
const highest: Fold = (values) => Math.max(...values)

interface Rule {
  read(text: string): number | undefined
  /** How the values of a card's tiles become one, as Intel's user guide has it; of temperatures the highest counts. */
  fold: Fold
}

const positive = (text: string) => {
  const value = numberOf(text)
  return value === undefined || value < 0 ? undefined : value
}

/** No sensor of a GPU is outside of these; tools write 0xffff… for a sensor that is not there. */
const temperature = (text: string) => {
  const value = numberOf(text)
  return value === undefined || value < -50 || value > 200 ? undefined : value
}

/** No card has a tebibyte, and none uses less than one mebibyte: version 1.0 writes bytes, later ones MiB. */
const memory = (text: string) => {
  const value = positive(text)
  return value === undefined ? undefined : bytesOf(String(value), value >= 1024 ** 2 ? 'b' : 'mib')
}

const share: Rule = { read: ratioOf, fold: mean }
const degrees: Rule = { read: temperature, fold: highest }
const count: Rule = { read: positive, fold: sum }

type Field =
  | 'utilization'
  | 'memoryUtilization'
  | 'memoryUsedBytes'
  | 'powerWatts'
  | 'graphicsClockMhz'
  | 'temperatureC'
  | 'memoryTemperatureC'
  | 'fanRatio'
  | 'corrected'
  | 'uncorrected'

const rules: Readonly<Record<Field, Rule>> = {
  utilization: share,
  memoryUtilization: share,
  memoryUsedBytes: { read: memory, fold: sum },
  powerWatts: { read: positive, fold: sum },
  graphicsClockMhz: { read: positive, fold: mean },
  temperatureC: degrees,
  memoryTemperatureC: degrees,
  fanRatio: { read: ratioOf, fold: highest },
  corrected: count,
  uncorrected: count,
}

const fieldsByName: Readonly<Record<string, Field>> = {
  'average % utilization of all gpu engines': 'utilization',
  utilization: 'utilization',
  power: 'powerWatts',
  'card power': 'powerWatts',
  frequency: 'graphicsClockMhz',
  'core temperature': 'temperatureC',
  'memory temperature': 'memoryTemperatureC',
  'memory bandwidth': 'memoryUtilization',
  'memory bandwidth utilization': 'memoryUtilization',
  'memory used': 'memoryUsedBytes',
  'fan speed': 'fanRatio',
  'cache errors correctable': 'corrected',
  'mem errors correctable': 'corrected',
  'memory errors correctable': 'corrected',
  'non compute errors correctable': 'corrected',
  'cache errors uncorrectable': 'uncorrected',
  'mem errors uncorrectable': 'uncorrected',
  'memory errors uncorrectable': 'uncorrected',
  'non compute errors uncorrectable': 'uncorrected',
}

const throttleNames = new Set([
  'throttle reason',
  'frequency throttle reason',
  'frequency throttle reason gpu',
])

/** `GPU Power (W)` and `XPUM_STATS_POWER` are both `power`. */
function plainName(name: string): string {
  const plain = name
    .replace(/^XPUM_STATS_/i, '')
    .replace(/\([^)]*\)/g, ' ')
    .replace(/[_\s]+/g, ' ')
    .trim()
    .toLowerCase()
  return plain.replace(/^ras error cat /, '').replace(/^gpu /, '')
}

/** Whether a name is one of those that are read here. */
export function isMetric(name: string): boolean {
  const plain = plainName(name)
  return fieldsByName[plain] !== undefined || throttleNames.has(plain)
}

/** What the measurements of one card say. Where the card itself is told, its tiles do not count. */
export function sensorsOf(metrics: readonly Metric[]): Sensors {
  const values: Partial<Record<Field, number>> = {}
  for (const field of Object.keys(rules) as Field[]) {
    const value = foldField(field, metrics)
    if (value !== undefined) values[field] = value
  }
  const { corrected, uncorrected, ...sensors } = values
  const ecc = present({ corrected, uncorrected })
  return present({
    ...sensors,
    throttle: throttleIn(metrics),
    ecc: Object.keys(ecc).length > 0 ? ecc : undefined,
  })
}

/** Errors of caches and of memory are counted apart and are one count here; of the others the first name counts. */
function foldField(field: Field, metrics: readonly Metric[]): number | undefined {
  const { read, fold } = rules[field]
  const byName = new Map<string, Metric[]>()
  for (const metric of metrics) {
    const name = plainName(metric.name)
    if (fieldsByName[name] === field) byName.set(name, [...(byName.get(name) ?? []), metric])
  }
  const folded = [...byName.values()].flatMap((same) => {
    const whole = same.filter(({ tile }) => tile === undefined).flatMap(({ value }) => read(value) ?? [])
    const tiles = same.filter(({ tile }) => tile !== undefined).flatMap(({ value }) => read(value) ?? [])
    const told = whole.length > 0 ? whole.slice(0, 1) : tiles
    return told.length > 0 ? [fold(told)] : []
  })
  if (folded.length === 0) return undefined
  return field === 'corrected' || field === 'uncorrected' ? sum(folded) : folded[0]
}

function throttleIn(metrics: readonly Metric[]): ThrottleReason[] | undefined {
  const told = metrics.flatMap(({ name, value }) => {
    if (!throttleNames.has(plainName(name))) return []
    const reasons = /^\s*\d+\s*$/.test(value) ? throttleOfFlags(Number(value)) : throttleOf(value)
    return reasons === undefined ? [] : [reasons]
  })
  return told.length > 0 ? distinct(told.flat()) : undefined
}
