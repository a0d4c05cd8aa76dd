/** `2026-01-02T03:04:05.678Z`: the time of day is enough for eyes. */
const timeOfDay = { from: 11, to: 23 }

/** A line of JSON as pino writes it, as `03:04:05.678 info  message  key=value`. What is no JSON is left alone. */
export function prettyLine(line: string): string {
  const record = parseRecord(line)
  if (!record) return line
  const { time, level, msg, ...facts } = record
  const clock = String(time).slice(timeOfDay.from, timeOfDay.to)
  const pairs = Object.entries(facts).map(([name, value]) => `  ${name}=${shown(value)}`)
  return `${clock} ${String(level).padEnd(5)} ${msg}${pairs.join('')}\n`
}

function parseRecord(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    // Whoever wrote it wanted it seen as it is.
    return undefined
  }
}

function shown(value: unknown): string {
  const plain = typeof value === 'string' && value !== '' && !/[\s"=]/.test(value)
  return plain ? value : JSON.stringify(value)
}
