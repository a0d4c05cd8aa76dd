import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import type { Clock } from '../../core/index.ts'
import type { Following, LineSink } from './following.ts'

/** An event is seen within this time; a look at a quiet log is one system call. */
const pollMs = 250

/** Larger than any record of the kernel's (1 KiB of text and its tags); a smaller buffer is refused with EINVAL. */
const bufferBytes = 16_384

/**
 * Follows `/dev/kmsg`, or a file that grows, from its end on. It polls without blocking, since a read that waits would
 * hold one of the few threads that Node reads files with, and could not be ended.
 */
export function followFile(path: string, clock: Clock, sink: LineSink): Following {
  const buffer = Buffer.allocUnsafe(bufferBytes)
  let rest = ''
  let cancel: () => void = () => undefined
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    // Told later, so that whoever starts following has it in hand before it ends.
    return { close: clock.after(0, () => sink.end(messageOf(error))) }
  }

  const stop = () => {
    cancel()
    if (fd >= 0) closeSync(fd)
    fd = -1
  }
  const poll = () => {
    try {
      for (let text = readSome(fd, buffer); text !== ''; text = readSome(fd, buffer)) {
        const lines = (rest + text).split('\n')
        rest = (lines.pop() ?? '').slice(-bufferBytes)
        for (const line of lines) sink.line(line)
        if (fd < 0) return
      }
      cancel = clock.after(pollMs, poll)
    } catch (error) {
      stop()
      sink.end(messageOf(error))
    }
  }

  try {
    skipToEnd(fd, buffer)
    cancel = clock.after(pollMs, poll)
  } catch (error) {
    stop()
    return { close: clock.after(0, () => sink.end(messageOf(error))) }
  }
  return { close: stop }
}

/** What was logged before is not news. */
function skipToEnd(fd: number, buffer: Buffer) {
  const { size } = fstatSync(fd)
  // A plain file is read up to where it ended when it was opened: it may grow while it is being skipped.
  for (let left = size; left > 0; ) {
    const bytes = readSync(fd, buffer, 0, Math.min(left, buffer.length), null)
    if (bytes === 0) return
    left -= bytes
  }
  while (size === 0 && readSome(fd, buffer) !== '');
}

/** The next piece of text; empty where there is none yet. */
function readSome(fd: number, buffer: Buffer): string {
  for (;;) {
    try {
      return buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, null))
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code === 'EAGAIN') return ''
      // EPIPE: the kernel overwrote records before they were read; the next read goes on after the gap.
      if (code !== 'EPIPE') throw error
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
