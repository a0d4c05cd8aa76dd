import type { Socket } from 'node:net'
import type { EngineDevice } from '../../contract.ts'

/** The first line that a caller sends. */
export type Opening =
  /** Starts a worker that lives as long as this connection. */
  | { open: 'session' }
  /** What follows are the bytes of one connection to that session's worker. */
  | { open: 'data'; session: string }
  /** What follows is measured by how soon it is answered: see `measure.ts`. */
  | { open: 'measure' }

/** What a worker's node says about a session that it has opened. */
export interface WorkerFacts {
  session: string
  /** Of llama.cpp. */
  engineVersion: string
  /** Of its RPC. */
  protocol: string
  devices: EngineDevice[]
  memoryBytes?: number
}

/** What either end may say in a session, one line each. `beat` only says that it lives. */
export type SessionLine = { beat: true } | { ready: WorkerFacts } | { refused: string } | { ended: string }

/** Each end says so much, and gives the other up that has said nothing for so long. */
export const beatEveryMs = 1_000
export const silenceMs = 10_000

const longestLineBytes = 64 * 1024

/**
 * Reads the first line of a connection; what came after it is put back. Undefined when the connection ends before, or
 * the line is longer than any that is spoken here.
 */
export function readOpening(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    let head = Buffer.alloc(0)
    const done = (line: string | undefined) => {
      socket.off('data', onData).off('close', onClose)
      socket.pause()
      resolve(line)
    }
    const onClose = () => done(undefined)
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk])
      const end = head.indexOf(0x0a)
      if (end === -1) {
        if (head.length > longestLineBytes) done(undefined)
        return
      }
      const rest = head.subarray(end + 1)
      done(head.toString('utf8', 0, end))
      if (rest.length > 0) socket.unshift(rest)
    }
    socket.on('data', onData).on('close', onClose)
  })
}

/**
 * Speaks in lines of JSON over a connection: `onLine` has each that comes, `onEnd` the reason why no more do, once. The
 * other end is given up after `silenceMs`, so that a cable that was pulled is noticed.
 */
export function speakLines(
  socket: Socket,
  on: { line(line: SessionLine): void; end(reason: string): void },
): { send(line: SessionLine): void; close(): void } {
  let rest = ''
  let ended = false
  const end = (reason: string) => {
    if (ended) return
    ended = true
    clearInterval(beat)
    socket.destroy()
    on.end(reason)
  }
  const send = (line: SessionLine) => {
    if (!ended && socket.writable) socket.write(`${JSON.stringify(line)}\n`)
  }
  // In own beats, not by the clock: after a sleep of this machine nobody was silent.
  let silentBeats = 0
  const beat = setInterval(() => {
    if (++silentBeats > silenceMs / beatEveryMs) end(`it said nothing for ${silenceMs / 1000} s`)
    else send({ beat: true })
  }, beatEveryMs)
  socket.setEncoding('utf8')
  socket.on('data', (chunk) => {
    silentBeats = 0
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > longestLineBytes) end('it speaks another language')
    for (const line of lines) {
      const parsed = parseLine(line)
      if (parsed === undefined) end('it speaks another language')
      else if (!ended) on.line(parsed as SessionLine)
    }
  })
  socket.on('error', (error) => end(error.message))
  socket.on('close', () => end('its connection was closed'))
  socket.resume()
  return { send, close: () => end('closed') }
}

/** A JSON object, or undefined. */
export function parseLine(line: string): object | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    // Whoever speaks no JSON is none of ours; the caller ends it.
    return undefined
  }
}
