import type { DeviceReport } from '../../api/index.ts'
import { clearScreen, clearToLineEnd, clearToScreenEnd, hideCursor, showCursor } from '../terminal/codes.ts'
import { historyLength, viewLines } from './view.ts'

const everyMs = 1000
const alternateScreen = '\u001b[?1049h'
const usualScreen = '\u001b[?1049l'
const home = '\u001b[H'

/**
 * Shows the devices once a second until `q`, Ctrl-C or a signal. The terminal is as it was afterwards, whatever happened.
 */
export async function watchGpus(read: () => Promise<{ report: DeviceReport; from: string }>): Promise<void> {
  const { stdout, stdin } = process
  const history = new Map<string, (number | undefined)[]>()
  const over = new AbortController()
  const stop = () => over.abort()
  const onKey = (key: Buffer) => {
    // Ctrl-C comes as a character while the terminal is raw.
    if (['q', 'Q', '\u0003', '\u001b'].includes(String(key))) stop()
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
  const raw = stdin.isTTY === true
  if (raw) stdin.setRawMode(true).resume().on('data', onKey)
  stdout.write(alternateScreen + hideCursor + clearScreen)
  try {
    while (!over.signal.aborted) {
      const { report, from } = await read()
      for (const { id, sensors } of report.devices) {
        history.set(id, [...(history.get(id) ?? []), sensors?.utilization].slice(-historyLength))
      }
      // A terminal that does not know its size says 0.
      const [columns, rows] = [stdout.columns || 100, stdout.rows || 40]
      const head = `drover gpus, ${from}, ${new Date().toLocaleTimeString()}; q ends`
      const lines = [head, '', ...viewLines(report, history, columns)].slice(0, rows - 1)
      stdout.write(home + lines.map((line) => `${line}${clearToLineEnd}\n`).join('') + clearToScreenEnd)
      await pause(over.signal)
    }
  } finally {
    stdout.write(showCursor + usualScreen)
    if (raw) stdin.off('data', onKey).setRawMode(false).pause()
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const timer = setTimeout(resolve, everyMs)
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })
}
