import { formatBytes } from '../format.ts'

/** The progress of one transfer. */
export interface Bar {
  set(completedBytes: number, nowMs: number): void
  /** One line, as wide as the terminal. */
  render(columns: number, nowMs: number): string
  /** `pulling 6a0746a1ec1a:  42% 1.9 GB/4.7 GB`: for where there is no terminal. */
  describe(): string
  percent(): number
}

/** The rate is that of the last so many samples, taken a second apart at least. */
const maxSamples = 10
const sampleGapMs = 1000

/**
 * A transfer of `totalBytes`, of which `initialBytes` had been there before. It looks as Ollama's:
 * `pulling 6a0746a1ec1a:  42% ▕████      ▏ 1.9 GB/4.7 GB   50 MB/s   55s`.
 */
export function createBar(label: string, totalBytes: number, initialBytes: number, startedMs: number): Bar {
  let completed = Math.min(initialBytes, totalBytes)
  let done = completed >= totalBytes
  let samples: { atMs: number; bytes: number }[] = [{ atMs: startedMs, bytes: initialBytes }]
  const percent = () => (totalBytes > 0 ? (completed / totalBytes) * 100 : 0)
  const bytesPerSecond = () => {
    const [first, last] = [samples[0], samples.at(-1)]
    if (done || !first || !last || last.atMs === first.atMs) return 0
    return ((last.bytes - first.bytes) * 1000) / (last.atMs - first.atMs)
  }
  const head = () => `${label}: ${percent().toFixed(0).padStart(3)}%`
  return {
    percent,
    set: (bytes, nowMs) => {
      completed = Math.min(bytes, totalBytes)
      done = completed >= totalBytes
      if (nowMs - (samples.at(-1)?.atMs ?? 0) < sampleGapMs) return
      samples = [...samples, { atMs: nowMs, bytes: completed }].slice(-maxSamples)
    },
    render: (columns) => {
      const rate = bytesPerSecond()
      const tail =
        sizes(completed, totalBytes, done) +
        (rate > 0 ? `  ${formatBytes(Math.trunc(rate)).padStart(6)}/s` : ''.padEnd(10)) +
        (rate > 0 ? `  ${formatRemaining((totalBytes - completed) / rate).padStart(6)}` : ''.padEnd(8))
      // The two ends of the bar, and a space beside each.
      const width = Math.max(0, columns - head().length - tail.length - 5)
      const filled = Math.trunc((width * percent()) / 100)
      return `${head()} ▕${'█'.repeat(filled).padEnd(width)}▏ ${tail}`
    },
    describe: () => `${head()} ${sizes(completed, totalBytes, done).trim()}`,
  }
}

function sizes(completed: number, total: number, done: boolean): string {
  const whole = formatBytes(total).padStart(6)
  return done ? `${whole}${''.padEnd(7)}` : `${formatBytes(completed).padStart(6)}/${whole}`
}

/** Time left, in two units at most: `55s`, `1m3s`, `2h5m`, `99h+`. */
export function formatRemaining(seconds: number): string {
  const whole = Math.trunc(seconds)
  const [hours, minutes] = [Math.trunc(whole / 3600), Math.trunc(whole / 60) % 60]
  if (hours >= 100) return '99h+'
  if (hours > 0) return `${hours}h${minutes}m`
  return minutes > 0 ? `${minutes}m${whole % 60}s` : `${whole}s`
}
