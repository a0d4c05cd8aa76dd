import { connect, type Socket } from 'node:net'

/**
 * A ZeroMQ subscriber: the receiving end of a publisher's socket by ZMTP 3.0 with its mechanism NULL
 * (https://rfc.zeromq.org/spec/23/). libzmq would be 34 MB of native code for this one direction of one kind of socket.
 */
export interface Subscriber {
  close(): void
}

export interface SubscribeOptions {
  /** `tcp://host:port`, or `ipc:///path/of/a/socket`. */
  endpoint: string
  /** Messages whose first frame begins with it; empty: all. */
  topic: string
  /** All frames of one message; they share memory with what was read, so what is kept of them has to be copied. */
  onMessage(frames: readonly Buffer[]): void
  /** For the first time, or again: what was published until now is missed. */
  onSubscribed(): void
  /** Once for each connection that could not be made, or is lost. The next is on its way. */
  onLost(reason: string): void
}

const greetingBytes = 64
const mostMessageBytes = 64 * 2 ** 20
const handshakeMs = 10_000
const firstWaitMs = 100
const longestWaitMs = 10_000

/** Flags of a frame. */
const more = 1
const long = 2
const command = 4

/** Subscribes, and does so again, with longer and longer waits, until it is closed. Whatever comes in, nothing is thrown. */
export function subscribe(options: SubscribeOptions): Subscriber {
  let socket: Socket | undefined
  let timer: NodeJS.Timeout | undefined
  let waitMs = firstWaitMs

  function open(): void {
    const peer = connectTo(options.endpoint)
    socket = peer
    let reason = 'the publisher has closed the connection'
    const read = createSession(peer, options, () => {
      // Not by the handshake: some may break off behind it again and again.
      waitMs = firstWaitMs
    })
    peer.setKeepAlive(true, 30_000)
    peer.setTimeout(handshakeMs, () => peer.destroy(new Error('no ZeroMQ publisher answers there')))
    peer.on('data', (chunk) => {
      try {
        read(chunk)
      } catch (error) {
        peer.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    })
    peer.on('end', () => peer.destroy())
    peer.on('error', (error) => {
      reason = error.message
    })
    peer.on('close', () => {
      if (socket !== peer) return
      timer = setTimeout(open, waitMs)
      waitMs = Math.min(longestWaitMs, 2 * waitMs)
      options.onLost(reason)
    })
  }

  open()
  return {
    close() {
      clearTimeout(timer)
      const last = socket
      socket = undefined
      last?.destroy()
    },
  }
}

const unixSocket = 'ipc://'

function connectTo(endpoint: string): Socket {
  if (endpoint.startsWith(unixSocket)) return connect({ path: endpoint.slice(unixSocket.length) })
  const { hostname, port } = new URL(endpoint)
  // An address of IPv6 stands in brackets.
  return connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) })
}

/** The conversation with one peer, by what it sends; `onSense` with each whole message. Throws what is wrong with it. */
function createSession(
  peer: Socket,
  { topic, onMessage, onSubscribed }: SubscribeOptions,
  onSense: () => void,
): (chunk: Buffer) => void {
  let message: Buffer[] = []
  let messageBytes = 0
  peer.write(greeting())

  function obey(body: Buffer): void {
    const nameEnd = 1 + (body[0] ?? 0)
    const name = body.toString('latin1', 1, nameEnd)
    if (name === 'READY') {
      peer.setTimeout(0)
      peer.write(frame(0, Buffer.from(`\x01${topic}`)))
      onSubscribed()
    } else if (name === 'PING') {
      // Behind the name come two bytes of its patience; the rest is to be sent back.
      peer.write(frame(command, Buffer.concat([named('PONG'), body.subarray(nameEnd + 2)])))
    } else if (name === 'ERROR') {
      throw new Error(`the publisher refuses: ${body.toString('latin1', nameEnd + 1)}`)
    }
  }

  return createReader(
    (flags, body) => {
      if (flags & command) return obey(body)
      messageBytes += body.length
      if (messageBytes > mostMessageBytes)
        throw new Error(`a message is larger than ${mostMessageBytes} bytes`)
      message.push(body)
      if (flags & more) return
      const frames = message
      message = []
      messageBytes = 0
      onSense()
      onMessage(frames)
    },
    () => peer.write(frame(command, Buffer.concat([named('READY'), property('Socket-Type', 'SUB')]))),
  )
}

/** Cuts what comes into greeting and frames. */
function createReader(
  onFrame: (flags: number, body: Buffer) => void,
  onGreeting: () => void,
): (chunk: Buffer) => void {
  let chunks: Buffer[] = []
  let bytes = 0
  let wanted = 1
  let greeted = false

  /** Takes what is whole off the front; returns the rest. */
  function take(read: Buffer): Buffer {
    let rest = read
    if (!greeted) {
      if (rest[0] !== 0xff) throw new Error('what answers there is no ZeroMQ socket')
      wanted = greetingBytes
      if (rest.length < wanted) return rest
      checkGreeting(rest)
      greeted = true
      rest = rest.subarray(greetingBytes)
      onGreeting()
    }
    for (;;) {
      const flags = rest[0] ?? 0
      const headBytes = flags & long ? 9 : 2
      wanted = headBytes
      if (rest.length < headBytes) return rest
      const size = flags & long ? Number(rest.readBigUInt64BE(1)) : (rest[1] as number)
      if (size > mostMessageBytes) throw new Error(`a frame of ${size} bytes is announced`)
      wanted = headBytes + size
      if (rest.length < wanted) return rest
      onFrame(flags, rest.subarray(headBytes, wanted))
      rest = rest.subarray(wanted)
    }
  }

  return (chunk) => {
    chunks.push(chunk)
    bytes += chunk.length
    // A large frame comes in many chunks, which are joined once.
    if (bytes < wanted) return
    const rest = take(chunks.length === 1 ? chunk : Buffer.concat(chunks))
    chunks = [rest]
    bytes = rest.length
  }
}

/** Signature, version 3.0 (in which subscriptions are plain messages), mechanism, and a filler. */
function greeting(): Buffer {
  const bytes = Buffer.alloc(greetingBytes)
  bytes[0] = 0xff
  bytes[9] = 0x7f
  bytes[10] = 3
  bytes.write('NULL', 12)
  return bytes
}

function checkGreeting(bytes: Buffer): void {
  const [version = 0] = bytes.subarray(10)
  const mechanism = bytes.toString('latin1', 12, 32).replace(/\0.*$/s, '')
  if (version < 3) throw new Error(`the publisher speaks version ${version} of ZMTP; 3 is needed`)
  if (mechanism !== 'NULL') throw new Error(`the publisher wants security by ${mechanism}`)
}

function frame(flags: number, body: Buffer): Buffer {
  if (body.length < 256) return Buffer.concat([Buffer.of(flags, body.length), body])
  const head = Buffer.alloc(9)
  head[0] = flags | long
  head.writeBigUInt64BE(BigInt(body.length), 1)
  return Buffer.concat([head, body])
}

const named = (name: string) => Buffer.from(String.fromCharCode(name.length) + name, 'latin1')

function property(name: string, value: string): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32BE(value.length)
  return Buffer.concat([named(name), size, Buffer.from(value, 'latin1')])
}
