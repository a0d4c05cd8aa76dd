import { writeFile } from 'node:fs/promises'
import type { MeasuredBenchmark } from './as-asked.ts'
import type { BenchmarkFlags } from './flags.ts'
import { benchmarkPlot, benchmarkText, comparisonText } from './report.ts'

/** Prints what was measured, keeps it and draws it, as the flags ask. */
export async function tell(
  { report, own, compared }: MeasuredBenchmark,
  { save, svg, json }: BenchmarkFlags,
): Promise<void> {
  const written = `${JSON.stringify(report, undefined, 2)}\n`
  const comparisons = compared.map(({ name, rows }) => `\n${comparisonText(own, rows, name)}`)
  process.stdout.write(json ? written : [benchmarkText(report), ...comparisons].join(''))
  if (save !== undefined) await writeFile(save, written)
  if (svg !== undefined) await writeFile(svg, benchmarkPlot(report))
}
