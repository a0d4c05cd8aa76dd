import type { DeviceReport, DeviceStatus } from '../../api/index.ts'
import { shortLabels } from '../../hardware/index.ts'
import { formatTable } from '../format.ts'

const gib = 2 ** 30

/** The devices as a table, then what is wrong with them and what to do. */
export function gpuTable(report: DeviceReport): string {
  const labels = shortLabels(report.devices)
  const rows = report.devices.map((device) => [
    labels.get(device.id) ?? '',
    device.name,
    memoryText(device),
    percent(device.sensors?.utilization),
    celsius(device.sensors?.temperatureC),
    powerText(device),
    linkText(device),
    stateText(device),
    modelsText(device),
  ])
  const titles = ['DEVICE', 'NAME', 'MEMORY', 'LOAD', 'TEMP', 'POWER', 'PCIE', 'STATE', 'MODELS']
  const notes = [...report.devices.flatMap((device) => notesOf(device, labels)), ...report.problems]
  return formatTable(titles, rows) + (notes.length > 0 ? `\n${notes.join('\n')}\n` : '')
}

/** Why a device is not well, or not used, a line each. */
export function notesOf(device: DeviceStatus, labels: ReadonlyMap<string, string>): string[] {
  const label = labels.get(device.id) ?? device.id
  const reasons = device.health.reasons.map(
    ({ text, advice }) => `${label}: ${text}${advice === undefined ? '' : `; ${advice}`}`,
  )
  if (reasons.length > 0) return reasons
  if (device.state !== 'ok') return [`${label}: ${device.stateReason ?? device.state}`]
  return device.unusedReason === undefined ? [] : [`${label} is not used: ${device.unusedReason}`]
}

export function memoryText(device: DeviceStatus): string {
  const { sensors, memoryTotalBytes, memoryFreeBytes } = device
  // Of some cores the memory is a share, of which only what models take is known.
  if (device.kind === 'cpu' && device.cores) {
    const taken = device.instances.reduce((sum, { bytes }) => sum + bytes, 0)
    return `${(taken / gib).toFixed(1)}/${(memoryTotalBytes / gib).toFixed(1)} GiB`
  }
  const total = sensors?.memoryTotalBytes ?? memoryTotalBytes
  const used =
    sensors?.memoryUsedBytes ?? (memoryFreeBytes === undefined ? undefined : total - memoryFreeBytes)
  const whole = total > 0 ? `${(total / gib).toFixed(1)} GiB` : '-'
  return used === undefined ? whole : `${(used / gib).toFixed(1)}/${whole}`
}

export function percent(ratio: number | undefined): string {
  return ratio === undefined ? '-' : `${Math.round(ratio * 100)}%`
}

export function celsius(degrees: number | undefined): string {
  return degrees === undefined ? '-' : `${Math.round(degrees)} °C`
}

export function powerText({ sensors }: DeviceStatus): string {
  const { powerWatts, powerLimitWatts } = sensors ?? {}
  if (powerWatts === undefined) return '-'
  return powerLimitWatts === undefined
    ? `${Math.round(powerWatts)} W`
    : `${Math.round(powerWatts)}/${Math.round(powerLimitWatts)} W`
}

function linkText({ pcie, sensors }: DeviceStatus): string {
  const { generation, width } = { ...pcie, ...sensors?.pcie }
  if (width === undefined) return '-'
  return generation === undefined ? `x${width}` : `${generation}.0 x${width}`
}

export function stateText(device: DeviceStatus): string {
  if (device.state !== 'ok') return device.state.replace('_', ' ')
  return device.used ? device.health.state : `${device.health.state}, unused`
}

export function modelsText({ instances }: DeviceStatus): string {
  return instances
    .map(({ model, state, running, slots }) =>
      state === 'ready' ? `${model} ${running}/${slots}` : `${model} ${state}`,
    )
    .join(', ')
}
