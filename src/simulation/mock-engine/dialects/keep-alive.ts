import { parseDurationMs } from '../../../config/index.ts'
import { Refusal } from '../refusal.ts'

/** Ollama's own default. */
const defaultMs = 5 * 60_000

/** Milliseconds of a `keep_alive`: seconds as a number, or a duration such as `10m`; below 0 is for ever. */
export function readKeepAlive(value: string | number | undefined): number {
  if (value === undefined) return defaultMs
  const ms = typeof value === 'number' ? value * 1_000 : parseDurationMs(value)
  if (ms === undefined) throw new Refusal(400, `keep_alive: "${value}" is no duration, such as 5m`)
  return ms < 0 ? Number.POSITIVE_INFINITY : ms
}
