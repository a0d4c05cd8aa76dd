import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FuzzedRequest } from './requests.ts'

/** What came back: nothing at all where the server closed the connection, or the client did not wait. */
export interface FuzzedReply {
  status: number
  type: string
  body: string
}

/** How long a reply may take before it counts as a hang. */
const hangMs = 20_000

/** Sends a request byte by byte as it is, and reads one reply. Throws where none comes in time. */
export async function exchange(port: number, request: FuzzedRequest): Promise<FuzzedReply | undefined> {
  const socket = connect(port, '127.0.0.1')
  let received = Buffer.alloc(0)
  let closed = false
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
  })
  socket.on('close', () => {
    closed = true
  })
  // A connection that the server resets while it is written to is closed, which is an answer too.
  socket.on('error', () => {
    closed = true
  })
  try {
    for (const piece of request.pieces) {
      socket.write(piece)
      if (request.pieces.length > 1) await sleep(10)
    }
    if (request.ending === 'half') socket.end()
    if (request.ending === 'reset') {
      await sleep(5)
      return undefined
    }
    const endsAt = performance.now() + hangMs
    for (;;) {
      const reply = parseReply(received, closed, request.operation.method === 'head')
      if (reply) return reply
      if (closed) return undefined
      if (performance.now() > endsAt) throw new Error(`no reply within ${hangMs} ms`)
      await sleep(2)
    }
  } finally {
    socket.destroy()
  }
}

/** A whole reply; undefined while parts of it are missing. */
function parseReply(bytes: Buffer, closed: boolean, isHead: boolean): FuzzedReply | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const head = bytes.toString('latin1', 0, end)
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? Number.NaN)
  // Interim replies (100 Continue) precede the one that counts.
  if (status < 200) return parseReply(bytes.subarray(end + 4), closed, isHead)
  const header = (name: string) => new RegExp(`^${name}: *(.*)$`, 'im').exec(head)?.[1]?.trim() ?? ''
  const rest = bytes.subarray(end + 4)
  const reply = (body: string) => ({ status, type: header('content-type'), body })
  if (isHead || status === 204) return reply('')
  if (/chunked/i.test(header('transfer-encoding'))) {
    return rest.includes('0\r\n\r\n') || closed ? reply(rest.toString('utf8')) : undefined
  }
  const length = Number(header('content-length') || Number.NaN)
  if (rest.length >= length) return reply(rest.toString('utf8', 0, length))
  return closed ? reply(rest.toString('utf8')) : undefined
}
