import { drawQuantiles, time } from '../../simulation/index.ts'
import { formatBytes, formatRows } from '../format.ts'
import type { BenchmarkReport, Figures, Layout, Load } from './contract.ts'

type Column = [head: string, cell: (row: Figures) => string]

const columns: Column[] = [
  ['LOAD', ({ load }) => loadText(load)],
  ['TTFT p50', ({ ttftMs }) => time(ttftMs.p50)],
  ['p90', ({ ttftMs }) => time(ttftMs.p90)],
  ['p99', ({ ttftMs }) => time(ttftMs.p99)],
  ['ITL p50', ({ itlMs }) => time(itlMs.p50)],
  ['p99', ({ itlMs }) => time(itlMs.p99)],
  ['IN tok/s', ({ promptTokensPerS }) => rate(promptTokensPerS)],
  ['OUT tok/s', ({ outputTokensPerS }) => rate(outputTokensPerS)],
  ['PER STREAM', ({ streamTokensPerS }) => (streamTokensPerS > 0 ? rate(streamTokensPerS) : '-')],
  ['GOOD', ({ goodput }) => `${(goodput.share * 100).toFixed(0)} %`],
  ['GOOD/s', ({ goodput }) => rate(goodput.perS)],
  ['ERRORS', ({ errors, requests }) => `${errors} of ${requests}`],
  ['J/tok', ({ joulesPerToken }) => (joulesPerToken === undefined ? '-' : rate(joulesPerToken))],
]

/** For people: a table for each model of each server, then the devices, the layouts, and what went wrong. */
export function benchmarkText(report: BenchmarkReport): string {
  const { promptTokens, outputTokens, seed, objective, rows } = report
  const head =
    `prompts of about ${promptTokens} tokens, answers of up to ${outputTokens}, seed ${seed}; ` +
    `good: first token within ${objective.ttftMs} ms, the others within ${objective.itlMs} ms on average`
  const groups = Map.groupBy(rows, titleOf)
  const tables = [...groups].map(([title, own]) => {
    const cells = [columns.map(([name]) => name), ...own.map((row) => columns.map(([, cell]) => cell(row)))]
    return [`${title}\n${formatRows(cells)}`, devicesText(own), errorsText(own)].join('')
  })
  const notes = report.notes.map((note) => `${note}\n`).join('')
  return [`${head}\n`, ...tables, layoutsText(report.layouts), notes].filter((part) => part !== '').join('\n')
}

export function titleOf({ server, ...row }: Pick<Figures, 'server' | 'model' | 'variant'>): string {
  return `${nameOnServer(row)} at ${server}`
}

function nameOnServer({ model, variant }: Pick<Figures, 'model' | 'variant'>): string {
  return variant === '' ? model : `${model}, ${variant}`
}

export function loadText(load: Load): string {
  return load.kind === 'closed' ? `${load.concurrency} at once` : `${rate(load.perSecond)}/s`
}

function devicesText(rows: readonly Figures[]): string {
  const known = rows.filter(({ devices }) => devices.length > 0)
  if (known.length === 0) return ''
  const cells = known.flatMap(({ load, devices }) =>
    devices.map((device) => [
      loadText(load),
      device.label,
      formatBytes(device.modelsBytes),
      device.memoryUsedBytes === undefined ? '-' : formatBytes(device.memoryUsedBytes),
      device.utilization === undefined ? '-' : `${(device.utilization * 100).toFixed(0)} %`,
      device.powerWatts === undefined ? '-' : `${device.powerWatts.toFixed(0)} W`,
      device.temperatureC === undefined ? '-' : `${device.temperatureC.toFixed(0)} °C`,
    ]),
  )
  return `\n${formatRows([['LOAD', 'DEVICE', 'MODELS', 'USED', 'BUSY', 'POWER', 'TEMPERATURE'], ...cells])}`
}

function errorsText(rows: readonly Figures[]): string {
  return rows
    .flatMap(({ load, errorKinds }) =>
      Object.entries(errorKinds).map(([kind, count]) => `! ${loadText(load)}: ${count} x ${kind}\n`),
    )
    .join('')
}

function layoutsText(layouts: readonly Layout[]): string {
  const cells = layouts.flatMap(({ model, variant, instances }) =>
    instances.flatMap(({ instance, strategy, engine, parts }) =>
      parts.map((part) => [
        variant === '' ? model : `${model}, ${variant}`,
        `#${instance} ${strategy} on ${engine}`,
        part.deviceId,
        part.layers ? `${part.layers[0]}-${part.layers[1] - 1}` : '-',
        `${(part.share * 100).toFixed(0)} %`,
        part.weightsBytes === undefined ? '-' : formatBytes(part.weightsBytes),
        part.kvCacheBytes === undefined ? '-' : formatBytes(part.kvCacheBytes),
        formatBytes(part.bytes),
      ]),
    ),
  )
  if (cells.length === 0) return ''
  const titles = ['LAYOUT OF', 'INSTANCE', 'DEVICE', 'LAYERS', 'SHARE', 'WEIGHTS', 'KV CACHE', 'ALL']
  return formatRows([titles, ...cells])
}

/** Each line of now against the one of a saved run or of another server; empty where nothing is comparable. */
export function comparisonText(rows: readonly Figures[], others: readonly Figures[], name: string): string {
  const cells = rows.flatMap((row) => {
    const other = others.find((one) => isComparable(row, one))
    if (!other) return []
    const change = (of: (figures: Figures) => number) => changeText(of(row), of(other))
    return [
      [
        titleOf(row),
        loadText(row.load),
        change(({ ttftMs }) => ttftMs.p50),
        change(({ ttftMs }) => ttftMs.p99),
        change(({ itlMs }) => itlMs.p50),
        change(({ itlMs }) => itlMs.p99),
        change(({ outputTokensPerS }) => outputTokensPerS),
        change(({ goodput }) => goodput.perS),
      ],
    ]
  })
  if (cells.length === 0) return `nothing in ${name} is comparable: no line has the same model and load\n`
  const titles = [`AGAINST ${name}`, 'LOAD', 'TTFT p50', 'p99', 'ITL p50', 'p99', 'OUT tok/s', 'GOOD/s']
  return formatRows([titles, ...cells])
}

function isComparable(a: Figures, b: Figures): boolean {
  const name = (model: string) => (model.includes(':') ? model : `${model}:latest`)
  return (
    name(a.model) === name(b.model) &&
    (a.variant === b.variant || b.variant === '') &&
    loadText(a.load) === loadText(b.load)
  )
}

function changeText(now: number, before: number): string {
  if (before === 0) return '-'
  const change = (now / before - 1) * 100
  return `${change > 0 ? '+' : ''}${change.toFixed(Math.abs(change) < 10 ? 1 : 0)} %`
}

/** Times to first token and between tokens: a panel for each load, a line for each model, variant and server. */
export function benchmarkPlot({ rows, at }: BenchmarkReport): string {
  const servers = [...new Set(rows.map(({ server }) => server))]
  // Of one server all lines are: its name stands above them.
  const nameOf = (row: Figures) => (servers.length > 1 ? titleOf(row) : nameOnServer(row))
  const lines = rows.flatMap((row) =>
    (
      [
        ['TTFT', row.ttftQuantilesMs, row.ttftMs],
        ['ITL', row.itlQuantilesMs, row.itlMs],
      ] as const
    ).flatMap(([what, quantilesMs, spread]) =>
      quantilesMs.length === 0
        ? []
        : [
            {
              panel: `${what}, ${loadText(row.load)}`,
              name: nameOf(row),
              quantilesMs,
              told: `${nameOf(row)}: mean ${time(spread.mean)}, p99 ${time(spread.p99)}`,
            },
          ],
    ),
  )
  const about = [
    'share of the values within a time: to first token (TTFT), between tokens (ITL)',
    servers.length === 1 ? `${servers[0]}, ${at}` : at,
  ]
  return drawQuantiles(lines, { title: 'Latency', about })
}

/** Three digits. */
function rate(value: number): string {
  return value >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString()
}
