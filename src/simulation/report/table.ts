import type { Experiment, Row } from '../experiment.ts'

/** What stands above every report, so that nobody takes it for a measurement. */
export const simulatedTitle = 'SIMULATED: modelled instances on a virtual clock, no measurement'

type Column = [head: string, cell: (row: Row) => string]

const columns: Column[] = [
  ['policy', ({ router }) => router],
  ['TTFT mean', ({ summary }) => time(summary.ttftMs.mean)],
  ['p50', ({ summary }) => time(summary.ttftMs.p50)],
  ['p90', ({ summary }) => time(summary.ttftMs.p90)],
  ['p99', ({ summary }) => time(summary.ttftMs.p99)],
  ['ITL mean', ({ summary }) => time(summary.itlMs.mean)],
  ['p99', ({ summary }) => time(summary.itlMs.p99)],
  ['end to end', ({ summary }) => time(summary.endToEndMs.mean)],
  ['p99', ({ summary }) => time(summary.endToEndMs.p99)],
  ['good', ({ summary }) => percent(summary.goodput.share)],
  ['good/s', ({ summary }) => summary.goodput.perS.toFixed(2)],
  ['cache hits', ({ summary }) => percent(summary.cacheHitShare)],
  ['fairness', ({ summary }) => summary.fairness.toFixed(3)],
  ['busy', ({ summary }) => percent(summary.utilisation)],
  ['TTFT off by', (row) => offBy(row, 'ttft')],
  ['end off by', (row) => offBy(row, 'finish')],
]

/** For people: a table for each load, and what the figures mean. */
export function textReport({ rows, pooledHitShare }: Experiment, about: readonly string[]): string {
  const loads = [...new Set(rows.map(({ load }) => load))]
  const tables = loads.map((load) => {
    const ofLoad = rows.filter((row) => row.load === load)
    const { offeredPerS = 0 } = ofLoad[0]?.summary ?? {}
    const head = load === undefined ? '' : `load ${percent(load)}, `
    return `${head}${offeredPerS.toFixed(2)} requests/s\n${tableOf(ofLoad)}${lossesOf(ofLoad)}`
  })
  const bound =
    pooledHitShare > 0
      ? `One cache with the memory of all instances would find ${percent(pooledHitShare)} of the prompt tokens.\n`
      : ''
  return `${[simulatedTitle, ...about].join('\n')}\n\n${tables.join('\n')}\n${bound}`
}

function tableOf(rows: readonly Row[]): string {
  const cells = [columns.map(([head]) => head), ...rows.map((row) => columns.map(([, cell]) => cell(row)))]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)))
  const padded = (line: string[]) =>
    line.map((cell, index) => (index === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[index] ?? 0)))
  return cells.map((line) => `${padded(line).join('  ').trimEnd()}\n`).join('')
}

/** Requests that were refused, or that went on elsewhere: a line for each policy that has any. */
function lossesOf(rows: readonly Row[]): string {
  return rows
    .filter(({ summary }) => summary.refused > 0 || summary.resumed > 0)
    .map(
      ({ router, summary: { refused, resumed } }) =>
        `${router}: ${count(refused)} refused, ${count(resumed)} resumed elsewhere\n`,
    )
    .join('')
}

/** A router that foretells nothing is not right about it. */
function offBy({ router, summary }: Row, what: 'ttft' | 'finish'): string {
  return router === 'omniscient' ? '-' : percent(summary.predictionError[what].p50)
}

function count(value: number): string {
  return Number(value.toFixed(1)).toString()
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

/** Three digits: `12.3 ms`, `456 ms`, `7.89 s`. */
export function time(ms: number): string {
  if (ms < 100) return `${ms.toPrecision(3)} ms`
  if (ms < 1000) return `${ms.toFixed(0)} ms`
  const s = ms / 1000
  return s < 100 ? `${s.toPrecision(3)} s` : `${s.toFixed(0)} s`
}
