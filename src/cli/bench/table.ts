import { formatMoment, formatTable } from '../format.ts'
import type { BenchReport, MeasuredDevice } from './measure-devices.ts'

/** The figures as a table, rates with the spread of their rounds; then what could not be measured, and the notes. */
export function benchTable({ devices, failures, notes }: BenchReport, nowMs: number): string {
  const streams = Math.max(1, ...devices.map(({ parallelStreams }) => parallelStreams))
  const titles = [
    'DEVICE',
    'NAME',
    'PREFILL',
    'DECODE',
    `DECODE x${streams}`,
    'BANDWIDTH',
    'OF TABLE',
    'LOAD',
    'MEASURED',
  ]
  const rows = devices.map((device) => [
    device.label,
    device.deviceName,
    rateText(device.prefillTokensPerSecond, device.spread.prefill),
    rateText(device.decodeTokensPerSecond, device.spread.decode),
    rateText(device.decodeParallelTokensPerSecond, device.spread.decodeParallel),
    `${figure(device.bandwidthGBs)} GB/s`,
    device.ofTable === undefined ? '-' : `${Math.round(device.ofTable * 100)}%`,
    `${(device.loadMs / 1000).toFixed(2)} s`,
    momentText(device, nowMs),
  ])
  const lines = [...failures.map((failure) => `! ${failure}`), ...notes]
  const table = devices.length > 0 ? formatTable(titles, rows) : ''
  const engine = devices[0] && `tokens/s through ${devices[0].engine} ${devices[0].engineVersion}`
  return [table, [...(engine === undefined ? [] : [engine]), ...lines].map((line) => `${line}\n`).join('')]
    .filter((part) => part !== '')
    .join('\n')
}

function rateText(rate: number, spread: number): string {
  return `${figure(rate)} ±${Math.round(spread * 100)}%`
}

/** Three digits, or all that stand before the point. */
function figure(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))
}

function momentText({ cached, measuredAt }: MeasuredDevice, nowMs: number): string {
  return cached ? `cached, ${formatMoment(Date.parse(measuredAt), nowMs).toLowerCase()}` : 'now'
}
