import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encode } from '@msgpack/msgpack'
import { XPublisher } from 'zeromq'

/** Publishes KV cache events over libzmq, in the frames that vLLM sends them in. */
export interface EventPublisher {
  endpoint: string
  /** Resolves when somebody has subscribed (anew). */
  subscribed(): Promise<void>
  /** The frames of one message. */
  send(...frames: (string | Uint8Array)[]): Promise<void>
  /** One batch, with the next number or this one. */
  publish(events: readonly unknown[], sequence?: bigint): Promise<void>
  close(): void
}

/** Binds the endpoint; with `tcp://127.0.0.1:*` it is known afterwards. XPUB is the PUB that says who subscribes. */
export async function publishEvents(endpoint: string): Promise<EventPublisher> {
  const socket = new XPublisher({ linger: 0 })
  await socket.bind(endpoint)
  let next = 0n
  const send = (...frames: (string | Uint8Array)[]) => socket.send(frames)
  return {
    endpoint: socket.lastEndpoint ?? endpoint,
    subscribed: async () => void (await socket.receive()),
    send,
    async publish(events, sequence = next) {
      next = sequence + 1n
      const number = Buffer.alloc(8)
      number.writeBigUInt64BE(sequence)
      await send('', number, encode([Date.now() / 1000, events, 0], { useBigInt64: true }))
    },
    close: () => socket.close(),
  }
}

/** A short path for a socket, and what takes it away. */
export async function socketPlace(): Promise<{ endpoint: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'drover-zmq-'))
  return {
    endpoint: `ipc://${join(folder, 's')}`,
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
