import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs'
import { type Log, longestLogBytes } from './log.ts'

/** A file that has grown beyond this is cut down to nothing, its end remembered. */
const longestFileBytes = 8 * longestLogBytes
/** A server prints some hundred kilobytes a second where it is busiest. */
const trimEveryMs = 1_000

/** A log that the server writes by itself. */
export interface LogFile extends Omit<Log, 'append'> {
  /** What the server is to print to. */
  readonly fd: number
  /** The server has ended: its last words are kept, the file is let go. */
  close(): void
}

/**
 * A bounded log in a file, read only when somebody asks. llama-server at the level that tells buffer sizes prints two
 * lines for each prompt that it has cached, at every request: over a pipe Drover would wake up for each of them, which
 * cost more processor time than the request did. Throws what opening a file throws.
 */
export function openLogFile(path: string): LogFile {
  const fd = openSync(path, 'a+', 0o600)
  let open = true
  /** The end of what the file no longer holds. */
  let kept: Buffer = Buffer.alloc(0)
  let start = 0
  let lastBytes = 0
  let lastOutputMs = performance.now()
  const trimmer = setInterval(trim, trimEveryMs)
  trimmer.unref()

  function trim(): void {
    if (fstatSync(fd).size < longestFileBytes) return
    kept = end()
    // Who appends goes on at the file's end, wherever that is.
    ftruncateSync(fd)
    start = 0
  }

  function end(): Buffer {
    if (!open) return kept
    const { size } = fstatSync(fd)
    const bytes = Buffer.alloc(Math.min(longestLogBytes, Math.max(0, size - start)))
    const read = readSync(fd, bytes, 0, bytes.length, size - bytes.length)
    const room = longestLogBytes - read
    return Buffer.concat([kept.subarray(Math.max(0, kept.length - room)), bytes.subarray(0, read)])
  }

  return {
    fd,
    text: () => end().toString('utf8'),
    clear() {
      kept = Buffer.alloc(0)
      start = fstatSync(fd).size
    },
    get lastOutputMs() {
      const { size } = open ? fstatSync(fd) : { size: lastBytes }
      if (size !== lastBytes) lastOutputMs = performance.now()
      lastBytes = size
      return lastOutputMs
    },
    close() {
      if (!open) return
      kept = end()
      open = false
      clearInterval(trimmer)
      closeSync(fd)
    },
  }
}
