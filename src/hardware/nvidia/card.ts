import type { DeviceProcess, DeviceReading, DeviceState, EccCounts, PcieLink, Sensors } from '../contract.ts'
import { bytesOf, numberOf, pciAddressOf, pciIdOf, present, ratioOf, textOf } from '../units.ts'
import { type Cells, cell, filled, flagOf } from './cells.ts'
import { type CounterNames, eccCounters, fields, repairFailed, repairPending } from './fields.ts'
import { stateOfWords } from './messages.ts'
import { throttleOf } from './throttle.ts'

/** What a report says once for all its cards. */
export interface ReportFacts {
  source: string
  driverVersion?: string | undefined
  /** The report's own words: `13.1`. */
  cudaVersion?: string | undefined
  index?: number | undefined
}

/** A card, from what one report says of it. */
export function cardOf(cells: Cells, report: ReportFacts): DeviceReading {
  const name = cell(cells, fields.name)
  const memoryTotalBytes = memory(cells, fields.memoryTotal)
  const deviceId = cell(cells, fields.pciDeviceId)
  return present({
    vendor: 'nvidia' as const,
    source: report.source,
    index: numberOf(cell(cells, fields.index)) ?? report.index,
    uuid: uuidOf(cell(cells, fields.uuid)),
    pciAddress: pciAddressOf(cell(cells, fields.pciAddress)),
    ...pciIds(deviceId),
    serial: cell(cells, fields.serial),
    name,
    kind: kindOf(name),
    partitioned: flagOf(cell(cells, fields.migMode)),
    memoryTotalBytes,
    memoryFreeBytes: memory(cells, fields.memoryFree),
    driverVersion: versionOf(cell(cells, fields.driverVersion)) ?? report.driverVersion,
    runtime: runtimeOf(cell(cells, fields.cudaVersion) ?? report.cudaVersion),
    architecture: cell(cells, fields.architecture),
    computeCapability: cell(cells, fields.computeCapability),
    vbios: cell(cells, fields.vbios),
    pcie: pcieOf(cells),
    ...stateOf(cells),
    persistence: flagOf(cell(cells, fields.persistence)),
    sensors: filled(sensorsOf(cells)),
  })
}

/** A UUID that names a card; undefined for the question marks of a driver that has not read it yet. */
export function uuidOf(text: string | undefined): string | undefined {
  const uuid = textOf(text)
  return uuid !== undefined && /^(GPU|MIG)-[0-9a-f][0-9a-f/-]*/i.test(uuid) ? uuid : undefined
}

/** `610.57.04` of `610.57.04 [Deprecated; …]`; undefined where no version stands. */
export function versionOf(text: string | undefined): string | undefined {
  return /^\s*v?(\d+(?:\.\d+)+)/.exec(text ?? '')?.[1]
}

/** `CUDA 13.1` for the newest CUDA that the driver takes. */
export function runtimeOf(text: string | undefined): string | undefined {
  const version = versionOf(text)
  return version === undefined ? undefined : `CUDA ${version}`
}

/** Jetson, Thor and the GB10 of DGX Spark share the host's memory; all else has its own. */
export function kindOf(name: string | undefined): 'discrete' | 'integrated' | undefined {
  if (name === undefined) return undefined
  return /\b(orin|xavier|tegra|thor|gb10)\b|nvgpu/i.test(name) ? 'integrated' : 'discrete'
}

/** `0x233010DE`: the device, then the vendor. A device of zeros is one that the tool did not know. */
function pciIds(text: string | undefined): { pciDeviceId?: string; pciVendorId?: string } {
  const pciDeviceId = pciIdOf(text)
  if (pciDeviceId === undefined || pciDeviceId === '0x0000') return {}
  return { pciDeviceId, pciVendorId: '0x10de' }
}

function memory(cells: Cells, names: readonly string[]): number | undefined {
  return bytesOf(cell(cells, names), 'MiB')
}

function pcieOf(cells: Cells): PcieLink | undefined {
  return filled(
    present({
      generation: positive(cell(cells, fields.pcieGeneration)),
      width: positive(cell(cells, fields.pcieWidth)),
      maxGeneration: positive(cell(cells, fields.pcieMaxGeneration)),
      maxWidth: positive(cell(cells, fields.pcieMaxWidth)),
    }),
  )
}

/** A PCIe link has no generation 0: some virtual machines write it for "unknown". */
function positive(text: string | undefined): number | undefined {
  const value = numberOf(text)
  return value !== undefined && value > 0 ? value : undefined
}

/** The sensors that a report tells. */
export function sensorsOf(cells: Cells): Sensors {
  const number = (names: readonly string[]): number | undefined => numberOf(cell(cells, names))
  const temperatureC = number(fields.temperature)
  return present({
    utilization: ratioOf(cell(cells, fields.utilization)),
    memoryUtilization: ratioOf(cell(cells, fields.memoryUtilization)),
    memoryUsedBytes: memory(cells, fields.memoryUsed),
    memoryTotalBytes: memory(cells, fields.memoryTotal),
    temperatureC,
    memoryTemperatureC: number(fields.memoryTemperature),
    slowdownC: number(fields.slowdown) ?? limitOf(temperatureC, cells, fields.slowdownMargin),
    shutdownC: number(fields.shutdown) ?? limitOf(temperatureC, cells, fields.shutdownMargin),
    powerWatts: number(fields.power),
    powerLimitWatts: number(fields.powerLimit) ?? number(nestedPowerLimits(cells)),
    graphicsClockMhz: number(fields.graphicsClock),
    graphicsClockMaxMhz: number(fields.graphicsClockMax),
    memoryClockMhz: number(fields.memoryClock),
    memoryClockMaxMhz: number(fields.memoryClockMax),
    throttle: throttleOf(cells),
    ecc: eccOf(cells),
    fanRatio: ratioOf(cell(cells, fields.fan)),
    pcie: pcieOf(cells),
    pcieReplays: number(fields.pcieReplays),
  })
}

/** Drivers from 610 tell the limit in a group of its own below the power readings. */
function nestedPowerLimits(cells: Cells): string[] {
  return [...cells.keys()].filter((key) => /^gpu_power_readings\..+\.current_power_limit$/.test(key))
}

/**
 * Newer cards tell how many degrees are left (`T.Limit`) and at which remainder they slow down, from sensors that run
 * hotter than the one whose temperature they show: so the limit is where that remainder would be reached from here.
 */
function limitOf(temperatureC: number | undefined, cells: Cells, at: readonly string[]): number | undefined {
  const margin = numberOf(cell(cells, fields.margin))
  const limit = numberOf(cell(cells, at))
  if (temperatureC === undefined || margin === undefined || limit === undefined) return undefined
  return temperatureC + margin - limit
}

/** Errors since the driver was loaded; over the card's life where only that is told. */
function eccOf(cells: Cells): EccCounts | undefined {
  const count = (errors: 'corrected' | 'uncorrected'): number | undefined =>
    counterOf(cells, eccCounters('volatile', errors)) ?? counterOf(cells, eccCounters('aggregate', errors))
  return filled(
    present({
      enabled: flagOf(cell(cells, fields.eccMode)),
      corrected: count('corrected'),
      uncorrected: count('uncorrected'),
      retired: sumOf(
        [
          fields.retiredSingle,
          fields.retiredDouble,
          fields.remappedCorrectable,
          fields.remappedUncorrectable,
        ].map((names) => numberOf(cell(cells, names))),
      ),
      pending: anyOf(cells, repairPending),
      remapFailed: anyOf(cells, repairFailed),
    }),
  )
}

/** A counter as a number; undefined where neither its total nor any part of it is told. */
export function counterOf(cells: Cells, { total, parts }: CounterNames): number | undefined {
  return numberOf(cell(cells, total)) ?? sumOf(parts.map((names) => numberOf(cell(cells, names))))
}

function sumOf(values: readonly (number | undefined)[]): number | undefined {
  const told = values.filter((value) => value !== undefined)
  return told.length === 0 ? undefined : told.reduce((sum, value) => sum + value, 0)
}

function anyOf(cells: Cells, names: readonly string[]): boolean | undefined {
  const told = names.map((name) => flagOf(cells.get(name))).filter((flag) => flag !== undefined)
  return told.length === 0 ? undefined : told.some(Boolean)
}

/** The values that a working card always tells; where several of them are errors, the card is in error. */
const vital: readonly (readonly string[])[] = [
  fields.uuid,
  fields.memoryTotal,
  fields.memoryUsed,
  fields.temperature,
  fields.utilization,
  fields.power,
  fields.fan,
]

function stateOf(cells: Cells): { state?: DeviceState; stateReason?: string } {
  for (const value of cells.values()) {
    if (/^\[?\s*gpu (is lost|requires? reset)/i.test(value)) return { state: 'lost', stateReason: value }
  }
  if (flagOf(cell(cells, fields.resetRequired)) === true) {
    return { state: 'lost', stateReason: 'the card requires a reset' }
  }
  const action = cell(cells, fields.recoveryAction)
  if (action !== undefined && /^(gpu )?(reset|reboot|node reboot)/i.test(action)) {
    return { state: 'lost', stateReason: `the driver asks for this recovery: ${action}` }
  }
  const failed = vital
    .map((names) => names.map((name) => cells.get(name)).find((text) => text !== undefined))
    .filter(
      (text) => text !== undefined && /^\[?\s*(unknown error|err!|insufficient permissions)/i.test(text),
    )
  const first = failed[0]
  if (first === undefined || failed.length < 2) return {}
  return { state: stateOfWords(first), stateReason: `${failed.length} of its values read "${first}"` }
}

/** What a person should know of a card beyond its reading: errors over its life, a fabric in trouble. */
export function notesOf(cells: Cells, card: DeviceReading): string[] {
  const who = card.pciAddress ?? card.uuid ?? 'the card'
  const notes: string[] = []
  for (const errors of ['corrected', 'uncorrected'] as const) {
    const now = counterOf(cells, eccCounters('volatile', errors))
    const ever = counterOf(cells, eccCounters('aggregate', errors))
    if (ever !== undefined && now !== undefined && ever > now) {
      notes.push(`${who}: ${ever} ${errors} memory errors over its life, ${now} since the driver was loaded`)
    }
  }
  const action = cell(cells, fields.recoveryAction)
  if (action !== undefined) notes.push(`${who}: the driver asks for this recovery: ${action}`)
  if (flagOf(cell(cells, fields.resetRecommended)) === true) {
    notes.push(`${who}: the driver recommends to drain and reset it`)
  }
  const fabric = [...cells].filter(
    ([key, value]) => key.startsWith('fabric.health.') && /^(unhealthy|degraded|true)$/i.test(value.trim()),
  )
  if (fabric.length > 0) {
    notes.push(
      `${who}: NVLink fabric: ${fabric.map(([key, value]) => `${key.split('.').at(-1)} ${value}`).join(', ')}`,
    )
  }
  return notes
}

/** A MIG instance, by the cells of its block in the report of `card`. */
export function migOf(cells: Cells, card: DeviceReading): DeviceReading {
  const memoryTotalBytes = memory(cells, [...fields.memoryTotal, 'shared_fb_memory_usage.total'])
  const uncorrected = numberOf(
    cell(cells, [
      'ecc_error_count.volatile_count.sram_uncorrectable',
      'ecc_errors.volatile.sram_uncorrectable',
    ]),
  )
  return present({
    vendor: 'nvidia' as const,
    source: card.source,
    index: numberOf(cell(cells, ['index'])),
    uuid: uuidOf(cell(cells, ['uuid', 'mig_uuid'])),
    name: card.name,
    kind: 'partition' as const,
    parent: present({ uuid: card.uuid, pciAddress: card.pciAddress, index: card.index }),
    memoryTotalBytes,
    memoryFreeBytes: memory(cells, [...fields.memoryFree, 'shared_fb_memory_usage.free']),
    driverVersion: card.driverVersion,
    runtime: card.runtime,
    architecture: card.architecture,
    computeCapability: card.computeCapability,
    computeUnits: numberOf(
      cell(cells, [
        'device_attributes.shared.multiprocessor_count',
        'device_attributes.multiprocessor_count',
      ]),
    ),
    state: card.state,
    stateReason: card.stateReason,
    sensors: filled(
      present({
        memoryTotalBytes,
        memoryUsedBytes: memory(cells, [...fields.memoryUsed, 'shared_fb_memory_usage.used']),
        ecc: uncorrected === undefined ? undefined : { uncorrected },
      }),
    ),
  })
}

/** A line of a process table; `C`, `G`, `C+G` and `M+C` (through MPS) say what it does. */
export function processOf(
  pid: string | undefined,
  name: string | undefined,
  type: string | undefined,
  memoryText: string | undefined,
): DeviceProcess | undefined {
  const number = numberOf(pid)
  if (number === undefined || !Number.isInteger(number) || number <= 0) return undefined
  const computes = type?.includes('C') === true
  const draws = type?.includes('G') === true
  return present({
    pid: number,
    name: textOf(name),
    memoryBytes: bytesOf(memoryText, 'MiB'),
    kind:
      computes && draws
        ? ('both' as const)
        : computes
          ? ('compute' as const)
          : draws
            ? ('graphics' as const)
            : undefined,
  })
}
