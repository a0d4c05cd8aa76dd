import type { ServerLoad } from '../contract.ts'
import type { MetricNames } from './dialect.ts'

/**
 * The load that a server's metrics tell, in Prometheus' text format (0.0.4). Counts of several engines behind one
 * server (data parallel) are added up; of their KV caches the fullest one counts.
 */
export function loadFrom(text: string, names: MetricNames): ServerLoad | undefined {
  const running = sum(samplesOf(text, names.running))
  const waiting = sum(samplesOf(text, names.waiting))
  const used = samplesOf(text, names.kvCacheUsed)
  if (running === undefined && waiting === undefined && used.length === 0) return undefined
  return {
    ...(running !== undefined && { running }),
    ...(waiting !== undefined && { waiting }),
    ...(used.length > 0 && { kvCacheUsed: Math.max(...used) }),
  }
}

/** The samples under the first of the names that there is. */
function samplesOf(text: string, names: readonly string[] = []): number[] {
  for (const name of names) {
    const line = new RegExp(`^${name}(?:\\{[^\\n]*\\})? +(\\S+)`, 'gm')
    const values = [...text.matchAll(line)].map(([, value]) => Number(value)).filter(Number.isFinite)
    if (values.length > 0) return values
  }
  return []
}

function sum(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((total, value) => total + value, 0)
}
