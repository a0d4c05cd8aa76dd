import { connect, type Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { randomHex } from '../../../core/index.ts'
import { DroverError } from '../../../inference/index.ts'
import { type Opening, parseLine, readOpening, speakLines } from './frames.ts'
import { joinSockets } from './join.ts'
import { serverTls, type TunnelKey } from './key.ts'
import { answerMeasuring } from './measure.ts'
import type { RpcWorker } from './worker.ts'

/** Workers that end by themselves within so long of their start, several in a row, are not started again at once. */
const quickEndMs = 10_000
const firstPauseMs = 1_000
const longestPauseMs = 60_000
const openingTimeoutMs = 10_000

export interface TunnelServer {
  /** Where it listens, as `host:port`. */
  readonly address: string
  /** How many engines use it. */
  sessions(): number
  /** Ends all sessions and their workers. */
  close(): Promise<void>
}

interface Session {
  worker: RpcWorker
  connections: Set<Socket>
}

/**
 * Lets engines of other machines that have the key use this one's devices: each gets a worker of its own, which ends
 * with it. Workers that crash as soon as they run are started again after a pause that doubles up to a minute. Throws
 * `invalid_request` when it cannot listen there.
 */
export async function serveTunnel(options: {
  host: string
  port: number
  key: TunnelKey
  engineVersion: string
  memoryBytes?: number
  /** Starts a worker with so much memory at most; see `startRpcWorker`. */
  startWorker(memoryBytes: number | undefined): Promise<RpcWorker>
  log(message: string): void
}): Promise<TunnelServer> {
  const { log } = options
  const sessions = new Map<string, Session>()
  const sockets = new Set<Socket>()
  let quickEnds = 0
  let pausedUntilMs = 0
  let starting: Promise<unknown> = Promise.resolve()

  const server = createServer({ ...serverTls(options.key), handshakeTimeout: openingTimeoutMs }, (socket) => {
    socket.on('error', () => socket.destroy())
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    welcome(socket).catch((error) => {
      log(
        `a connection from ${socket.remoteAddress} failed: ${error instanceof Error ? error.message : error}`,
      )
      socket.destroy()
    })
  })
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    // Whoever only looks whether somebody listens has gone before a word was said.
    if (error.code === 'ECONNRESET') return
    const why = /binder|decrypt/.test(error.message) ? 'it has another key' : error.message
    log(`turned ${socket.remoteAddress} away: ${why}`)
  })

  async function welcome(socket: TLSSocket): Promise<void> {
    socket.setNoDelay(true)
    const late = setTimeout(() => socket.destroy(), openingTimeoutMs)
    const line = await readOpening(socket)
    clearTimeout(late)
    const opening = line === undefined ? undefined : (parseLine(line) as Opening | undefined)
    if (opening?.open === 'session') return openSession(socket)
    if (opening?.open === 'measure') return answerMeasuring(socket)
    const session = opening?.open === 'data' ? sessions.get(String(opening.session)) : undefined
    if (!session) {
      socket.destroy()
      return
    }
    const inner = connect({ host: '127.0.0.1', port: session.worker.port })
    session.connections.add(socket)
    socket.on('close', () => session.connections.delete(socket))
    joinSockets(socket, inner)
  }

  async function openSession(socket: TLSSocket): Promise<void> {
    const { remoteAddress } = socket
    let worker: RpcWorker | undefined
    let over = false
    const id = randomHex(16)
    const lines = speakLines(socket, {
      line: () => undefined,
      end: (reason) => {
        over = true
        void endSession(id, worker, `${remoteAddress} left: ${reason}`)
      },
    })
    try {
      // One after the other, so that each knows what those before it hold.
      const turn = starting.then(start)
      // Why it failed is told to its own caller below; the next only waits for its end.
      starting = turn.catch(() => undefined)
      worker = await turn
    } catch (error) {
      lines.send({ refused: error instanceof Error ? error.message : String(error) })
      log(`a session of ${remoteAddress} was refused: ${error instanceof Error ? error.message : error}`)
      setTimeout(lines.close, 100)
      return
    }
    const started = worker
    if (over) return endSession(id, started, `${remoteAddress} left before its worker ran`)
    const startedMs = performance.now()
    sessions.set(id, { worker: started, connections: new Set() })
    log(`session of ${remoteAddress}: worker ${started.pid} runs`)
    started.exited.then((reason) => {
      if (!sessions.has(id)) return
      noteEnd(performance.now() - startedMs)
      log(`worker ${started.pid} ended: ${reason}`)
      lines.send({ ended: reason })
      void endSession(id, started, `its worker ended: ${reason}`)
      setTimeout(lines.close, 100)
    })
    const { engineVersion, memoryBytes } = options
    const { protocol, devices } = started
    const ready = { session: id, engineVersion, protocol, devices: [...devices] }
    lines.send({ ready: { ...ready, ...(memoryBytes !== undefined && { memoryBytes }) } })
  }

  /** Once may be chance. */
  function noteEnd(livedMs: number): void {
    quickEnds = livedMs < quickEndMs ? quickEnds + 1 : 0
    const pauseMs = quickEnds < 2 ? 0 : Math.min(longestPauseMs, firstPauseMs * 2 ** (quickEnds - 2))
    pausedUntilMs = performance.now() + pauseMs
  }

  async function start(): Promise<RpcWorker> {
    const waitMs = pausedUntilMs - performance.now()
    if (waitMs > 0) {
      throw new Error(
        `its workers crash as soon as they run: the next is started in ${Math.ceil(waitMs / 1000)} s`,
      )
    }
    try {
      return await options.startWorker(await memoryLeft())
    } catch (error) {
      noteEnd(0)
      throw error
    }
  }

  async function memoryLeft(): Promise<number | undefined> {
    if (options.memoryBytes === undefined) return undefined
    const held = await Promise.all([...sessions.values()].map(({ worker }) => worker.heldBytes()))
    return Math.max(0, options.memoryBytes - held.reduce((sum, bytes) => sum + bytes, 0))
  }

  async function endSession(id: string, worker: RpcWorker | undefined, why: string): Promise<void> {
    const session = sessions.get(id)
    sessions.delete(id)
    if (session) log(`session over: ${why}`)
    for (const socket of session?.connections ?? []) socket.destroy()
    await worker?.close()
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new DroverError(
          'invalid_request',
          `cannot listen on ${options.host}:${options.port}: ${error.message}`,
        ),
      ),
    )
    server.listen(options.port, options.host, resolve)
  })
  const bound = server.address()
  const port = typeof bound === 'object' && bound ? bound.port : options.port
  return {
    address: `${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    sessions: () => sessions.size,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      await Promise.all([...sessions].map(([id, { worker }]) => endSession(id, worker, 'this end closes')))
      for (const socket of sockets) socket.destroy()
      await closed
      await starting
    },
  }
}
