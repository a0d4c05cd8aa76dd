/** Devices that other machines lend (`drover rpc-worker`): found at the start, and watched as long as the server runs. */
import { connect } from 'node:net'
import type { Config } from '../config/index.ts'
import type { Clock } from '../core/index.ts'
import { describeRpcWorker, type Engine } from '../engines/index.ts'
import { asDroverError } from '../inference/index.ts'
import type { WorkerDevice } from '../placement/index.ts'

/** A machine that does not answer by then is not there. */
const answerMs = 10_000
const connectMs = 2_000
/** Between two looks whether the machines answer. */
const lookMs = 5_000

/** What other machines lend. */
export interface LentDevices {
  devices: readonly WorkerDevice[]
  /** Machines that lend nothing, each with why. */
  problems: readonly string[]
}

export const noLentDevices: LentDevices = { devices: [], problems: [] }

/** What the configured workers lend now. */
export async function findRpcDevices({
  rpcWorkers,
  rpcKeyFile,
}: Pick<Config, 'rpcWorkers' | 'rpcKeyFile'>): Promise<LentDevices> {
  if (rpcWorkers.length === 0) return noLentDevices
  if (rpcKeyFile === undefined) {
    const problem = 'rpcWorkers are not used: set rpcKeyFile to the key that `drover rpc-worker` has written'
    return { devices: [], problems: [problem] }
  }
  const problems: string[] = []
  const found = await Promise.all(
    rpcWorkers.map(async (address) => {
      try {
        const signal = AbortSignal.timeout(answerMs)
        const { devices, memoryBytes } = await describeRpcWorker(address, rpcKeyFile, signal)
        const limit = (memoryBytes ?? Number.POSITIVE_INFINITY) / Math.max(1, devices.length)
        return devices.map((lent, position) => rpcDevice(address, position, lent, limit))
      } catch (error) {
        problems.push(`rpcWorkers: ${address} lends nothing: ${asDroverError(error).message}`)
        return []
      }
    }),
  )
  return { devices: found.flat(), problems }
}

function rpcDevice(
  address: string,
  position: number,
  {
    name,
    description,
    totalBytes,
    freeBytes,
  }: { name: string; description: string; totalBytes: number; freeBytes: number },
  limitBytes: number,
): WorkerDevice {
  const id = `rpc:${address}/${name}`
  const memoryTotalBytes = Math.min(totalBytes, limitBytes)
  return {
    id,
    kind: 'rpc',
    rpc: { address, position },
    engineName: name,
    device: {
      id,
      vendor: name.startsWith('CPU') ? 'cpu' : 'other',
      kind: name.startsWith('CPU') ? 'cpu' : 'discrete',
      name: `${description} at ${address}`,
      state: 'ok',
      sources: ['rpc-worker'],
      memoryTotalBytes,
      unifiedMemory: false,
      facts: { tflops: {}, supports: {} },
    },
    memoryTotalBytes,
    memoryFreeBytes: Math.min(freeBytes || totalBytes, memoryTotalBytes),
    settings: {},
    // A network lies between: what is here is taken first.
    fallback: true,
  }
}

export interface RpcWatch {
  /** Looks now; resolves when it is known who answers. */
  look(): Promise<void>
  /** An engine whose failures are a reason to look: the instance is gone before its worker is known to be. */
  around(engine: Engine): Engine
  close(): void
}

/** Tells which devices are lost when their machine does not answer, and that they are back when it does. */
export function watchRpcDevices(
  devices: readonly WorkerDevice[],
  onLost: (deviceId: string, reason: string | undefined) => void,
  clock: Clock,
): RpcWatch {
  const lost = new Set<string>()
  const byAddress = Map.groupBy(devices, ({ rpc }) => rpc?.address ?? '')
  let cancel: () => void = () => undefined

  async function look(): Promise<void> {
    await Promise.all(
      [...byAddress].map(async ([address, own]) => {
        const reason = await whyNot(address)
        if ((reason !== undefined) === lost.has(address)) return
        if (reason === undefined) lost.delete(address)
        else lost.add(address)
        for (const { id } of own) onLost(id, reason)
      }),
    )
  }

  function lookLater(): void {
    cancel = clock.after(lookMs, () => void look().finally(lookLater))
  }
  if (byAddress.size > 0) lookLater()

  return {
    look,
    around: (engine) => ({
      ...engine,
      launch: async (spec, signal) => {
        if (!spec.rpcWorkers?.length) return engine.launch(spec, signal)
        try {
          const instance = await engine.launch(spec, signal)
          void instance.exited.then(look)
          return instance
        } catch (error) {
          await look()
          throw error
        }
      },
    }),
    close: () => {
      byAddress.clear()
      cancel()
    },
  }
}

/** Why a machine cannot be reached; undefined where it can. */
function whyNot(address: string): Promise<string | undefined> {
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '')
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(address.slice(colon + 1)), timeout: connectMs })
    const end = (reason: string | undefined) => {
      socket.destroy()
      resolve(reason)
    }
    socket.once('connect', () => end(undefined))
    socket.once('timeout', () => end(`${address} does not answer`))
    socket.once('error', (error) => end(`${address}: ${error.message}`))
  })
}
