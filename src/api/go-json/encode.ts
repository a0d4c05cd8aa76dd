const escapedInHtml = /[<>&\u2028\u2029]/g
const mayNeedEscape = /[<>&\u2028\u2029]/

const htmlEscapes: Record<string, string> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
}

const escapeHtml = (json: string) =>
  mayNeedEscape.test(json) ? json.replace(escapedInHtml, (letter) => htmlEscapes[letter] ?? letter) : json

/** A JSON string literal as Go writes it: also `<`, `>`, `&` and the two line separators are escaped. */
export function jsonString(text: string): string {
  return escapeHtml(JSON.stringify(text))
}

/** Any JSON value as Go writes it; key order as given, `undefined` members left out. */
export function jsonValue(value: unknown): string {
  return escapeHtml(JSON.stringify(value))
}

/** Whole nanoseconds of a duration in milliseconds. */
export function nanoseconds(ms: number): number {
  return Math.round(ms * 1e6)
}

/** A vector of float32 with the fewest digits that give the same float32 back, as Go prints them. */
export function jsonFloat32Array(vector: Float32Array): string {
  let json = '['
  for (let at = 0; at < vector.length; at++) json += (at === 0 ? '' : ',') + shortestFloat32(vector[at] ?? 0)
  return `${json}]`
}

// Nine digits always do and most values need eight or nine, so the search goes down from there.
function shortestFloat32(value: number): string {
  let shortest = Number(value.toPrecision(9))
  for (let digits = 8; digits > 0; digits--) {
    const shorter = Number(value.toPrecision(digits))
    if (Math.fround(shorter) !== value) break
    shortest = shorter
  }
  return String(shortest)
}

let cachedSecond = Number.NaN
let cachedPrefix = ''
let epochOffsetMs = 0

/**
 * Now, as RFC 3339 with nanosecond digits in UTC (`2026-08-21T18:48:22.123456Z`), trailing zeros cut as in Go.
 * Called once a token: the part up to the second is kept, and the wall clock is read again when it changes.
 */
export function rfc3339NanoNow(): string {
  let now = epochOffsetMs + performance.now()
  let second = Math.floor(now / 1000)
  if (second !== cachedSecond) {
    epochOffsetMs = Date.now() - performance.now()
    now = epochOffsetMs + performance.now()
    second = Math.floor(now / 1000)
    cachedSecond = second
    cachedPrefix = new Date(second * 1000).toISOString().slice(0, 19)
  }
  return `${cachedPrefix}${fraction(now - second * 1000)}Z`
}

/** A time in milliseconds since the epoch as RFC 3339 with this machine's offset, as Go prints a local time. */
export function rfc3339NanoLocal(epochMs: number): string {
  const date = new Date(epochMs)
  const offsetMinutes = -date.getTimezoneOffset()
  const second = Math.floor(epochMs / 1000)
  const local = new Date((second + offsetMinutes * 60) * 1000).toISOString().slice(0, 19)
  return local + fraction(epochMs - second * 1000) + zone(offsetMinutes)
}

function zone(offsetMinutes: number): string {
  if (offsetMinutes === 0) return 'Z'
  const minutes = Math.abs(offsetMinutes)
  const pad = (part: number) => String(Math.trunc(part)).padStart(2, '0')
  return `${offsetMinutes < 0 ? '-' : '+'}${pad(minutes / 60)}:${pad(minutes % 60)}`
}

function fraction(msOfSecond: number): string {
  const nanos = Math.min(999_999_999, Math.max(0, Math.round(msOfSecond * 1e6)))
  if (nanos === 0) return ''
  const digits = String(nanos + 1_000_000_000).slice(1)
  let end = 9
  while (digits.charCodeAt(end - 1) === 0x30) end--
  return `.${digits.slice(0, end)}`
}
