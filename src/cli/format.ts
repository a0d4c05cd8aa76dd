/** Columns under their titles, left-aligned, four spaces between: Ollama's tables. */
export function formatTable(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = titles.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  )
  const lines = [titles, ...rows].map((row) =>
    row.map((cell, column) => cell.padEnd((widths[column] ?? 0) + 4)).join(''),
  )
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

const units = ['B', 'KB', 'MB', 'GB', 'TB']

/** Decimal bytes as Ollama prints them: `4.7 GB`, `137 MB`, `10 B`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  const text = unit === 0 || value >= 10 ? String(Math.trunc(value)) : value.toFixed(1).replace(/\.0$/, '')
  return `${text} ${units[unit]}`
}

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** A duration in words, rough as Ollama has it: `4 minutes`, `About an hour`, `2 days`. */
export function formatDuration(ms: number): string {
  const plural = (size: number, name: string) => `${Math.floor(ms / size)} ${name}`
  if (ms < second) return 'Less than a second'
  if (ms < 2 * second) return '1 second'
  if (ms < minute) return plural(second, 'seconds')
  if (ms < 2 * minute) return 'About a minute'
  if (ms < hour) return plural(minute, 'minutes')
  const hours = Math.round(ms / hour)
  if (hours === 1) return 'About an hour'
  if (hours < 48) return `${hours} hours`
  if (ms < 14 * day) return plural(day, 'days')
  if (ms < 60 * day) return plural(7 * day, 'weeks')
  if (ms < 730 * day) return plural(30 * day, 'months')
  return plural(365 * day, 'years')
}

/** A moment seen from `nowMs`: `2 days ago`, `4 minutes from now`, `Never` for one that was never set. */
export function formatMoment(atMs: number, nowMs: number): string {
  if (Number.isNaN(atMs) || atMs <= 0) return 'Never'
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
