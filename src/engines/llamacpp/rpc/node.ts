import { pruneTensorCache } from './cache.ts'
import type { WorkerFacts } from './frames.ts'
import { readTunnelKey, type TunnelKey } from './key.ts'
import { measureNetwork, type NetworkFacts } from './measure.ts'
import { openTunnel, parseAddress } from './open-tunnel.ts'
import { findRpcProgram } from './program.ts'
import { serveTunnel, type TunnelServer } from './serve-tunnel.ts'
import { type RpcWorkerOptions, startRpcWorker } from './worker.ts'

const defaultCacheBytes = 100 * 2 ** 30

/** A machine that lends its devices. */
export interface RpcNode extends TunnelServer {
  /** What it lends, found out by starting a worker once. */
  readonly worker: Omit<WorkerFacts, 'session'>
}

/**
 * Lends this machine's devices to engines elsewhere that have the key: listens on `listen` (`host:port`), and starts a
 * worker for each engine that comes. Throws `engine_unavailable` without llama.cpp's RPC worker, `engine_failed` when
 * it does not run, `unsupported` when it cannot keep to the memory, `invalid_request` for a bad address.
 */
export async function createRpcNode(
  options: RpcWorkerOptions & {
    listen: string
    /** Most that is kept in `cacheDir`. */
    cacheBytes?: number
    key: TunnelKey
    serverPath?: string
    enginesDir: string
    log(message: string): void
  },
): Promise<RpcNode> {
  const { host, port } = parseAddress(options.listen)
  const { cacheDir, cacheBytes = defaultCacheBytes, log } = options
  const program = await findRpcProgram(options)
  const first = await startRpcWorker(program, options)
  const { protocol, devices } = first
  await first.close()
  const { memoryBytes } = options
  const limit = memoryBytes !== undefined && { memoryBytes }
  const served = await serveTunnel({
    host,
    port,
    key: options.key,
    engineVersion: program.version,
    ...limit,
    startWorker: async (bytes) => {
      const freed = cacheDir === undefined ? 0 : await pruneTensorCache(cacheDir, cacheBytes)
      if (freed > 0) log(`${Math.round(freed / 2 ** 20)} MiB of weights not used for longest were deleted`)
      return startRpcWorker(program, { ...options, ...(bytes !== undefined && { memoryBytes: bytes }) })
    },
    log,
  })
  return {
    ...served,
    worker: { engineVersion: program.version, protocol, devices: [...devices], ...limit },
  }
}

/**
 * What a node lends now: the devices with their free memory, and how far away it is, where that can be measured. Throws as
 * `openTunnel`, and where the key cannot be read.
 */
export async function describeRpcWorker(
  address: string,
  keyFile: string,
  signal?: AbortSignal,
): Promise<Omit<WorkerFacts, 'session'> & { network?: NetworkFacts }> {
  const key = await readTunnelKey(keyFile)
  const tunnel = await openTunnel({ address, key, ...(signal && { signal }) })
  const { session: _, ...facts } = tunnel.worker
  await tunnel.close()
  const network = await measureNetwork(address, key, signal)
  return { ...facts, ...(network && { network }) }
}
