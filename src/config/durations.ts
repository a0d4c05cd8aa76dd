const unitMs: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/** A sign, then numbers with units: Go's `time.ParseDuration`. */
const goDuration = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/
const part = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g

/**
 * Milliseconds of a duration as Ollama takes it: Go's notation (`5m`, `1h30m`, `-1s`) or whole seconds (`300`).
 * Undefined when it is neither.
 */
export function parseDurationMs(text: string): number | undefined {
  if (/^[+-]?\d+$/.test(text)) return Number(text) * 1000
  const match = goDuration.exec(text)
  if (!match) return undefined
  let sum = 0
  for (const [, number, unit] of (match[2] ?? '').matchAll(part))
    sum += Number(number) * (unitMs[unit ?? ''] ?? 0)
  return match[1] === '-' ? -sum : sum
}
