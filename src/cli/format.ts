/** Columns under their titles, left-aligned, four spaces after each cell: Ollama's tables. */
export function formatTable(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  return formatRows([titles, ...rows])
}

/** Rows of cells as columns, four spaces after each cell. */
export function formatRows(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(0, ...rows.map((row) => (row[column] ?? '').length)),
  )
  return rows
    .map((row) => `${widths.map((width, column) => `${(row[column] ?? '').padEnd(width)}    `).join('')}\n`)
    .join('')
}

const mostNames = 3

/** Names in a line: the first few, and how many more there are. */
export function formatNames(names: readonly string[]): string {
  const more = names.length - mostNames
  return more <= 1 ? names.join(', ') : `${names.slice(0, mostNames).join(', ')} and ${more} more`
}

const units = ['B', 'KB', 'MB', 'GB', 'TB']

/** Decimal bytes as Ollama prints them: `4.7 GB`, `1.0 GB`, `1 GB` when it is exact, `137 MB`, `10 B`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  const exact = unit === 0 || Number.isInteger(value)
  return `${value >= 10 || exact ? Math.trunc(value) : value.toFixed(1)} ${units[unit]}`
}

const secondMs = 1000
const hourMs = 3600 * secondMs

/** A duration in words, rough as Ollama has it: `4 minutes`, `About an hour`, `2 days`. */
export function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / secondMs)
  if (seconds < 1) return 'Less than a second'
  if (seconds === 1) return '1 second'
  if (seconds < 60) return `${seconds} seconds`
  const minutes = Math.floor(seconds / 60)
  if (minutes === 1) return 'About a minute'
  if (minutes < 60) return `${minutes} minutes`
  const hours = Math.round(ms / hourMs)
  if (hours === 1) return 'About an hour'
  if (hours < 48) return `${hours} hours`
  const days = Math.floor(hours / 24)
  if (days < 14) return `${days} days`
  if (days < 60) return `${Math.floor(days / 7)} weeks`
  if (days < 730) return `${Math.floor(days / 30)} months`
  return `${Math.floor(days / 365)} years`
}

/** What lies this far ahead never comes. */
const foreverMs = 21 * 365 * 24 * hourMs

/** A moment seen from `nowMs`: `2 days ago`, `4 minutes from now`, `Forever`; `Never` for one that was never set. */
export function formatMoment(atMs: number, nowMs: number): string {
  if (Number.isNaN(atMs) || atMs <= 0) return 'Never'
  if (atMs - nowMs >= foreverMs) return 'Forever'
  const words = formatDuration(Math.abs(atMs - nowMs))
  return atMs > nowMs ? `${words} from now` : `${words} ago`
}

/** Where a model lies, by its bytes: `100% GPU`, `100% CPU`, `48%/52% CPU/GPU`. */
export function formatProcessor(sizeBytes: number, vramBytes: number): string {
  if (vramBytes <= 0) return '100% CPU'
  if (sizeBytes <= 0 || vramBytes > sizeBytes) return 'Unknown'
  if (vramBytes === sizeBytes) return '100% GPU'
  const cpu = Math.round(((sizeBytes - vramBytes) / sizeBytes) * 100)
  return `${cpu}%/${100 - cpu}% CPU/GPU`
}

/** Nanoseconds as Go prints a duration: `1.5s`, `342.546ms`, `1m2.5s`, `0s`. */
export function formatGoDuration(ns: number): string {
  if (ns === 0) return '0s'
  if (ns < 1e3) return `${ns}ns`
  if (ns < 1e6) return `${trimmed(ns / 1e3, 3)}µs`
  if (ns < 1e9) return `${trimmed(ns / 1e6, 6)}ms`
  const totalSeconds = Math.floor(ns / 1e9)
  const minutes = Math.floor(totalSeconds / 60)
  const seconds = `${trimmed((ns - minutes * 60e9) / 1e9, 9)}s`
  if (minutes === 0) return seconds
  return minutes < 60 ? `${minutes}m${seconds}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`
}

function trimmed(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)))
}
