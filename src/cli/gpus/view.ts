import type { DeviceReport, DeviceStatus } from '../../api/index.ts'
import { shortLabels } from '../../hardware/index.ts'
import { bold, grey, plain } from '../terminal/codes.ts'
import { celsius, memoryText, modelsText, notesOf, percent, powerText, stateText } from './table.ts'

/** Seconds of load that a sparkline shows at most. */
export const historyLength = 120

const bars = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']
const colours = { healthy: '\u001b[32m', degraded: '\u001b[33m', failing: '\u001b[31m', lost: '\u001b[31m' }

/** A share as a bar of `width` columns, to an eighth of a column. */
export function bar(ratio: number | undefined, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, ratio ?? 0)) * width * 8)
  const whole = Math.floor(filled / 8)
  return ('█'.repeat(whole) + (eighths[filled % 8] ?? '')).padEnd(width, '·')
}

/** Shares over time as one line, the newest at the right end; a gap where a value is missing. */
export function sparkline(values: readonly (number | undefined)[], width: number): string {
  const shown = values.slice(-width)
  const line = shown.map((value) =>
    value === undefined ? ' ' : (bars[Math.min(7, Math.floor(value * 8))] ?? ' '),
  )
  return line.join('').padStart(width)
}

/** The report as lines of a terminal `columns` wide: two a device, and its notes. */
export function viewLines(
  report: DeviceReport,
  history: ReadonlyMap<string, readonly (number | undefined)[]>,
  columns: number,
): string[] {
  const labels = shortLabels(report.devices)
  const wide = Math.max(8, Math.min(40, Math.floor((columns - 44) / 2)))
  const lines = report.devices.flatMap((device) => [
    ...deviceLines(device, labels.get(device.id) ?? '', history.get(device.id) ?? [], wide, columns),
    ...notesOf(device, labels).map((note) => `${colours.degraded}${cut(`  ! ${note}`, columns)}${plain}`),
    '',
  ])
  return [...lines, ...report.problems.map((problem) => cut(`! ${problem}`, columns))]
}

function deviceLines(
  device: DeviceStatus,
  label: string,
  loads: readonly (number | undefined)[],
  wide: number,
  columns: number,
): string[] {
  const { sensors, health } = device
  const state = `${colours[health.state]}${stateText(device)}${plain}`
  const facts = [celsius(sensors?.temperatureC), powerText(device), clockText(device), throttleText(device)]
  const head = cut(
    `${device.name}  ${facts.filter((text) => text !== '-' && text !== '').join('  ')}`,
    columns - 24,
  )
  const total = sensors?.memoryTotalBytes ?? device.memoryTotalBytes
  const used = sensors?.memoryUsedBytes
  const load = `load ${bar(sensors?.utilization, wide)} ${percent(sensors?.utilization).padStart(4)}`
  const memory = `mem ${bar(used === undefined || total === 0 ? undefined : used / total, wide)} ${memoryText(device)}`
  const models = modelsText(device)
  return [
    `${bold}${label.padEnd(6)}${plain}${head}  ${state}`,
    `      ${load}  ${memory}`,
    `      ${grey}${sparkline(loads, Math.min(columns - 8, historyLength))}${plain}`,
    ...(models === '' ? [] : [cut(`      ${models}`, columns)]),
  ]
}

function clockText({ sensors }: DeviceStatus): string {
  const { graphicsClockMhz, graphicsClockMaxMhz } = sensors ?? {}
  if (graphicsClockMhz === undefined) return ''
  const most = graphicsClockMaxMhz === undefined ? '' : `/${Math.round(graphicsClockMaxMhz)}`
  return `${Math.round(graphicsClockMhz)}${most} MHz`
}

function throttleText({ sensors }: DeviceStatus): string {
  const held = (sensors?.throttle ?? []).filter((reason) => reason !== 'idle')
  return held.length > 0 ? `held by ${held.join(', ').replaceAll('_', ' ')}` : ''
}

function cut(text: string, columns: number): string {
  return text.length > columns ? `${text.slice(0, Math.max(0, columns - 1))}…` : text
}
