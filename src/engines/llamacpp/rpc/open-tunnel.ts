import { createServer, type Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { DroverError } from '../../../inference/index.ts'
import { type Opening, type SessionLine, speakLines, type WorkerFacts } from './frames.ts'
import { joinSockets } from './join.ts'
import { clientTls, type TunnelKey } from './key.ts'

const connectTimeoutMs = 5_000
/** A worker opens its cards first. */
const readyTimeoutMs = 90_000

/** A worker of another machine, as if it were on this one. */
export interface Tunnel {
  /** The worker's node, as it was given. */
  readonly address: string
  /** On 127.0.0.1: what connects there reaches the worker. */
  readonly port: number
  readonly worker: WorkerFacts
  /** Resolves with the reason when the worker is lost or the tunnel was closed; never rejects. */
  readonly lost: Promise<string>
  close(): Promise<void>
}

/**
 * Starts a worker on a node (`host:port`) that serves tunnels with the same key, and opens a way to it on 127.0.0.1.
 * Throws `engine_unavailable`, which names the node, when it cannot be reached, has another key, or refuses.
 */
export async function openTunnel(options: {
  address: string
  key: TunnelKey
  signal?: AbortSignal
}): Promise<Tunnel> {
  const { address, key, signal } = options
  signal?.throwIfAborted()
  const { worker, lost, end } = await openSession(address, key, signal)
  const connections = new Set<Socket>()
  const listener = createServer((local) => {
    connections.add(local)
    local.on('close', () => connections.delete(local))
    const remote = dial(address, key)
    // The opening goes first: what the engine says waits behind it.
    remote.write(`${JSON.stringify({ open: 'data', session: worker.session } satisfies Opening)}\n`)
    joinSockets(local, remote)
  })
  const close = async () => {
    end()
    for (const local of connections) local.destroy()
    await new Promise<void>((resolve) => listener.close(() => resolve()))
  }
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  lost.then(close)
  const bound = listener.address()
  return { address, port: typeof bound === 'object' && bound ? bound.port : 0, worker, lost, close }
}

/** A connection to the node, that proves to have the key before anything is said. */
export function dial(address: string, key: TunnelKey): TLSSocket {
  const { host, port } = parseAddress(address)
  const socket = connect({ ...clientTls(key), host, port })
  socket.setNoDelay(true)
  return socket
}

async function openSession(address: string, key: TunnelKey, signal: AbortSignal | undefined) {
  const socket = dial(address, key)
  const { promise: ready, resolve, reject } = Promise.withResolvers<WorkerFacts>()
  const { promise: lost, resolve: onLost } = Promise.withResolvers<string>()
  const refuse = (reason: string) =>
    reject(new DroverError('engine_unavailable', `worker ${address} cannot be used: ${reason}`))
  const onLine = (line: SessionLine) => {
    if ('ready' in line) resolve(line.ready)
    if ('refused' in line) refuse(line.refused)
    if ('ended' in line) {
      onLost(line.ended)
      lines.close()
    }
  }
  const lines = speakLines(socket, {
    line: onLine,
    end: (reason) => {
      refuse(explained(reason))
      onLost(explained(reason))
    },
  })
  const onAbort = () => {
    reject(signal?.reason)
    lines.close()
  }
  signal?.addEventListener('abort', onAbort)
  const notConnected = setTimeout(
    () => socket.destroy(new Error(`no connection within ${connectTimeoutMs / 1000} s`)),
    connectTimeoutMs,
  )
  const notReady = setTimeout(() => {
    refuse(`its worker did not start within ${readyTimeoutMs / 1000} s`)
    lines.close()
  }, readyTimeoutMs)
  socket.once('secureConnect', () => {
    clearTimeout(notConnected)
    socket.write(`${JSON.stringify({ open: 'session' } satisfies Opening)}\n`)
  })
  try {
    return { worker: await ready, lost, end: lines.close }
  } finally {
    clearTimeout(notConnected)
    clearTimeout(notReady)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** OpenSSL's words for a key that is not the same. */
function explained(reason: string): string {
  return /decrypt.error|binder|handshake failure|no suitable|certificate/i.test(reason)
    ? 'it has another key (both ends need the same key file)'
    : reason
}

/** `host:port`, `[::1]:port`. Throws `invalid_request`. */
export function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address.trim())
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port > 65_535) {
    throw new DroverError('invalid_request', `"${address}" is no address of an RPC worker: write host:port`)
  }
  return { host, port }
}
