import { clearToLineEnd, hideCursor, showCursor, up } from '../terminal/codes.ts'
import { type Bar, createBar } from './bar.ts'

/** What a long task is doing, shown as it goes on. */
export interface ProgressDisplay {
  /** Says what is done now, with a spinner until the next thing is said. */
  status(text: string): void
  /** Changes the text of the last status in its place. */
  update(text: string): void
  /** A transfer; calls with the same key move its bar. */
  transfer(key: string, label: string, totalBytes: number, completedBytes: number): void
  /** Ends, and leaves what was shown. */
  stop(): void
  /** Ends, and takes away what was shown. */
  clear(): void
}

/** Where it is shown: stderr, as a rule. */
export interface ProgressOutput {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
  rows?: number
}

/** Lines that change on a terminal; a plain line for each step elsewhere. */
export function createProgress(out: ProgressOutput = process.stderr): ProgressDisplay {
  return out.isTTY ? createTerminalProgress(out) : createPlainProgress(out)
}

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const frameMs = 100

interface Spinner {
  text: string
  spins: boolean
}

function createTerminalProgress(out: ProgressOutput): ProgressDisplay {
  const lines: (Spinner | Bar)[] = []
  const bars = new Map<string, Bar>()
  let shown = 0
  let spinner: Spinner | undefined
  let stopped = false
  const render = () => {
    const now = performance.now()
    const frame = frames[Math.trunc(now / frameMs) % frames.length]
    const columns = out.columns || 80
    const visible = lines.slice(-(out.rows || 24))
    const text = visible.map((line) => {
      const words = 'spins' in line ? spinnerLine(line, frame) : line.render(columns, now)
      return words + clearToLineEnd
    })
    // One write a frame, and no cursor meanwhile: nothing flickers.
    out.write(`${hideCursor}${up(shown - 1)}\r${text.join('\n')}${showCursor}`)
    shown = visible.length
  }
  const timer = setInterval(render, frameMs)
  timer.unref()
  const stopSpinner = () => {
    if (spinner) spinner.spins = false
    spinner = undefined
  }
  const end = (finish: () => void) => {
    if (stopped) return
    stopped = true
    clearInterval(timer)
    stopSpinner()
    finish()
  }
  return {
    status: (text) => {
      stopSpinner()
      spinner = { text, spins: true }
      lines.push(spinner)
    },
    update: (text) => {
      if (spinner) spinner.text = text
    },
    transfer: (key, label, total, completed) => {
      stopSpinner()
      const now = performance.now()
      let bar = bars.get(key)
      if (!bar) {
        bar = createBar(label, total, completed, now)
        bars.set(key, bar)
        lines.push(bar)
      }
      bar.set(completed, now)
    },
    stop: () =>
      end(() => {
        if (lines.length === 0) return
        render()
        out.write('\n')
      }),
    clear: () =>
      end(() => {
        if (shown > 0) out.write(`${hideCursor}${up(shown - 1)}\r\u001b[J${showCursor}`)
      }),
  }
}

function spinnerLine({ text, spins }: Spinner, frame = ''): string {
  return [text.trim(), spins ? `${frame} ` : ''].filter((part) => part !== '').join(' ')
}

/** Of a transfer, every tenth is told. */
const stepPercent = 10

function createPlainProgress(out: ProgressOutput): ProgressDisplay {
  const bars = new Map<string, { bar: Bar; told: number }>()
  let last = ''
  const say = (text: string) => {
    if (text !== '' && text !== last) out.write(`${text}\n`)
    last = text
  }
  return {
    status: say,
    update: () => undefined,
    transfer: (key, label, total, completed) => {
      const entry = bars.get(key) ?? { bar: createBar(label, total, completed, 0), told: -1 }
      bars.set(key, entry)
      entry.bar.set(completed, 0)
      const step = Math.floor(entry.bar.percent() / stepPercent)
      if (step === entry.told) return
      entry.told = step
      say(entry.bar.describe())
    },
    stop: () => undefined,
    clear: () => undefined,
  }
}
