import { DecodeError } from './errors.ts'

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

/** Largest duration of Go, 2^63 - 1 nanoseconds, in milliseconds. */
export const maxDurationMs = (2 ** 63 - 1) / 1e6

/**
 * A Go duration (`300ms`, `-1h30m`, `0`) in milliseconds.
 * Throws a `DecodeError` in the words of Go's `time.ParseDuration`.
 */
export function parseGoDuration(text: string): number {
  const invalid = () => new DecodeError(`time: invalid duration ${quoteDuration(text)}`)
  const negative = text.startsWith('-')
  let rest = text.replace(/^[+-]/, '')
  if (rest === '0') return 0
  if (rest === '') throw invalid()
  let totalMs = 0
  while (rest !== '') {
    const amount = /^(\d+\.?\d*|\.\d+)/.exec(rest)?.[0]
    if (amount === undefined) throw invalid()
    rest = rest.slice(amount.length)
    const unit = /^[^\d.]*/.exec(rest)?.[0] ?? ''
    if (unit === '') throw new DecodeError(`time: missing unit in duration ${quoteDuration(text)}`)
    const scale = Object.hasOwn(unitMs, unit) ? unitMs[unit] : undefined
    if (scale === undefined) {
      throw new DecodeError(`time: unknown unit ${quoteDuration(unit)} in duration ${quoteDuration(text)}`)
    }
    totalMs += Number(amount) * scale
    if (totalMs > maxDurationMs) throw invalid()
    rest = rest.slice(unit.length)
  }
  return negative ? -totalMs : totalMs
}

/** Quotes as Go's time package does: bytes beyond printable ASCII become `\xNN`. */
function quoteDuration(text: string): string {
  let quoted = ''
  for (const byte of Buffer.from(text)) {
    const letter = String.fromCharCode(byte)
    if (letter === '"' || letter === '\\') quoted += `\\${letter}`
    else if (byte < 0x20 || byte >= 0x80) quoted += `\\x${byte.toString(16).padStart(2, '0')}`
    else quoted += letter
  }
  return `"${quoted}"`
}
