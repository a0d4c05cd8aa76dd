import { appendFile, rename, stat } from 'node:fs/promises'
import { asDroverError } from '../inference/index.ts'
import type { Logger } from '../observability/index.ts'
import type { AnswerRecord } from '../routing/index.ts'

/** A log of this size is put aside as `.1`, in place of the one before. */
const mostBytes = 256 * 2 ** 20
/** Lines are written together so often at the most. */
const flushEveryMs = 1_000
/** Lines that wait for a disk that does not take them; more are lost, and that is said. */
const mostWaiting = 10_000

/** Writes a line of JSON about each answered request. A disk that is full costs lines, never requests. */
export function createRequestLog(path: string, log: Logger): (record: AnswerRecord) => void {
  let lines: string[] = []
  let writing = false
  let complained = false
  let lost = 0

  async function flush(): Promise<void> {
    const batch = lines
    lines = []
    try {
      await putAside(path)
      await appendFile(path, batch.join(''), { mode: 0o600 })
      complained = false
      if (lost > 0) log.warn({ path, lines: lost }, 'request log was written too slowly: lines are lost')
      lost = 0
    } catch (error) {
      if (!complained) {
        const reason = asDroverError(error).message
        log.warn({ path, reason, lines: batch.length }, 'request log cannot be written: its lines are lost')
      }
      complained = true
    }
    writing = false
    if (lines.length > 0) later()
  }

  function later(): void {
    if (writing) return
    writing = true
    setTimeout(() => void flush(), flushEveryMs)
  }

  return (record) => {
    if (lines.length >= mostWaiting) {
      lost++
      return
    }
    lines.push(`${JSON.stringify({ time: new Date().toISOString(), ...record })}\n`)
    later()
  }
}

async function putAside(path: string): Promise<void> {
  const { size } = await stat(path).catch(() => ({ size: 0 }))
  if (size >= mostBytes) await rename(path, `${path}.1`)
}
