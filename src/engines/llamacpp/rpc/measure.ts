/**
 * How far away a worker's machine is, over the same kind of connection that its engines use. What is asked is a length
 * of four bytes with so many bytes behind it; the other end answers one byte when it has them all. Messages of one byte
 * tell the round trip, longer ones the rate: each is twice as long as the one before, as TCP opens up. At most `mostBytes`
 * are sent, and after `leastMessages` nothing is begun that would take longer than `mostMs` in all.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Opening } from './frames.ts'
import type { TunnelKey } from './key.ts'
import { dial } from './open-tunnel.ts'

const mostBytes = 4 * 2 ** 20
const mostMs = 200
const pings = 5
const firstBytes = 16 * 2 ** 10
/** A single one that is slow may have waited for something else than the network. */
const leastMessages = 4
/** A network that has not answered by then is not measured. */
const giveUpMs = 5_000

const lengthBytes = 4

/** The way to a worker's machine. */
export interface NetworkFacts {
  /** Of the shortest message. */
  roundTripMs: number
  /** One way. */
  bytesPerS: number
}

/** Undefined where the other end does not answer, or is of a version that cannot be measured. */
export async function measureNetwork(
  address: string,
  key: TunnelKey,
  signal?: AbortSignal,
): Promise<NetworkFacts | undefined> {
  const socket = dial(address, key)
  const answers = answersOf(socket)
  const giveUp = () => void socket.destroy()
  const late = setTimeout(giveUp, giveUpMs)
  signal?.addEventListener('abort', giveUp, { once: true })
  try {
    socket.write(`${JSON.stringify({ open: 'measure' } satisfies Opening)}\n`)
    return await measured(async (bytes) => {
      const message = Buffer.concat([Buffer.alloc(lengthBytes), randomBytes(bytes)])
      message.writeUInt32BE(bytes)
      const startMs = performance.now()
      socket.write(message)
      await answers.next()
      return performance.now() - startMs
    })
  } catch {
    // Whatever the reason, nothing is known then, and the usual network is assumed.
    return undefined
  } finally {
    clearTimeout(late)
    signal?.removeEventListener('abort', giveUp)
    socket.destroy()
  }
}

/** `exchangeMs` sends so many bytes and tells how long that and the answer took. */
async function measured(exchangeMs: (bytes: number) => Promise<number>): Promise<NetworkFacts> {
  // The first one opens the connection, too.
  await exchangeMs(1)
  const startMs = performance.now()
  let roundTripMs = Number.POSITIVE_INFINITY
  for (let ping = 0; ping < pings; ping++) {
    roundTripMs = Math.min(roundTripMs, await exchangeMs(1))
    if (performance.now() - startMs > mostMs / 2) break
  }
  let bytesPerS = 0
  let sentBytes = 0
  let bytes = firstBytes
  for (let sent = 1; sentBytes + bytes <= mostBytes; sent++) {
    const tookMs = await exchangeMs(bytes)
    sentBytes += bytes
    // The answer's way is not the message's; where it is most of the time, no more is known than this.
    const carryMs = Math.max(tookMs - roundTripMs, tookMs / 2)
    // Whatever else the machines do only makes it longer.
    bytesPerS = Math.max(bytesPerS, (bytes / carryMs) * 1000)
    const mayGrow = performance.now() - startMs + 2 * tookMs <= mostMs
    if (mayGrow) bytes *= 2
    else if (sent >= leastMessages) break
  }
  return { roundTripMs: Math.round(roundTripMs * 1000) / 1000, bytesPerS: Math.round(bytesPerS) }
}

/** Each answer of one byte, in turn; rejects when no more come. */
function answersOf(socket: Socket): { next(): Promise<void> } {
  let answered = 0
  let waiting: PromiseWithResolvers<void> | undefined
  let over = false
  socket.on('data', (chunk) => {
    answered += chunk.length
    if (waiting && answered > 0) {
      answered--
      waiting.resolve()
      waiting = undefined
    }
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => {
    over = true
    waiting?.reject(new Error('the connection was closed'))
  })
  return {
    next: () => {
      waiting = Promise.withResolvers()
      if (over) waiting.reject(new Error('the connection was closed'))
      else if (answered > 0) {
        answered--
        waiting.resolve()
      }
      return waiting.promise
    },
  }
}

/** The other end: answers each message when all of it is there, for as much and as long as one measuring takes. */
export function answerMeasuring(socket: Socket): void {
  let taken = 0
  let length = 0
  let lengthLeft = lengthBytes
  let left = 0
  const late = setTimeout(() => socket.destroy(), giveUpMs)
  socket.on('close', () => clearTimeout(late))
  socket.on('data', (chunk) => {
    taken += chunk.length
    if (taken > 2 * mostBytes) return void socket.destroy()
    for (let at = 0; at < chunk.length; ) {
      if (lengthLeft > 0) {
        length = length * 256 + (chunk[at++] ?? 0)
        if (--lengthLeft === 0) left = length
        continue
      }
      const here = Math.min(left, chunk.length - at)
      left -= here
      at += here
      if (left > 0) break
      socket.write('.')
      length = 0
      lengthLeft = lengthBytes
    }
  })
  socket.resume()
}
