/** Devices that other machines lend (`drover rpc-worker`): those that are away are asked again until they are there. */
import { connect } from 'node:net'
import type { Config } from '../config/index.ts'
import type { Clock } from '../core/index.ts'
import { describeRpcWorker, type Engine } from '../engines/index.ts'
import { asDroverError, DroverError } from '../inference/index.ts'
import type { Logger } from '../observability/index.ts'
import type { WorkerDevice } from '../placement/index.ts'

/** A machine that does not answer by then is not there. */
const answerMs = 10_000
const connectMs = 2_000
/** Between two looks whether a machine that lends is there yet. */
const lookMs = 5_000
/** One that lends nothing is asked again after so long, and twice as long each time. */
const firstRetryMs = 1_000
const longestRetryMs = 60_000

/** What other machines lend. */
export interface LentDevices {
  devices: readonly WorkerDevice[]
  /** Machines that lend nothing, each with why. */
  problems: readonly string[]
}

export const noLentDevices: LentDevices = { devices: [], problems: [] }

type LendConfig = Pick<Config, 'rpcWorkers' | 'rpcKeyFile'>

/** What the configured workers lend now, to a llama.cpp of this version. */
export async function findRpcDevices(
  { rpcWorkers, rpcKeyFile }: LendConfig,
  engineVersion?: string,
): Promise<LentDevices> {
  if (rpcWorkers.length === 0) return noLentDevices
  if (rpcKeyFile === undefined) return { devices: [], problems: [noKey] }
  const problems: string[] = []
  const found = await Promise.all(
    rpcWorkers.map(async (address) => {
      try {
        return await askLender(address, rpcKeyFile, engineVersion)
      } catch (error) {
        problems.push(problemOf(address, asDroverError(error).message))
        return []
      }
    }),
  )
  return { devices: found.flat(), problems }
}

const noKey = 'rpcWorkers are not used: set rpcKeyFile to the key that `drover rpc-worker` has written'

const problemOf = (address: string, reason: string) => `rpcWorkers: ${address} lends nothing: ${reason}`

/** Throws where the machine lends nothing, or nothing that this machine's llama.cpp can use. */
async function askLender(
  address: string,
  keyFile: string,
  engineVersion: string | undefined,
  ended?: AbortSignal,
): Promise<WorkerDevice[]> {
  const late = AbortSignal.timeout(answerMs)
  const signal = ended ? AbortSignal.any([late, ended]) : late
  const facts = await describeRpcWorker(address, keyFile, signal)
  if (engineVersion !== undefined && facts.engineVersion !== engineVersion) {
    throw new DroverError(
      'engine_unavailable',
      `it has llama.cpp ${facts.engineVersion}, this machine has ${engineVersion}: install the same on both`,
    )
  }
  const { devices, memoryBytes = Number.POSITIVE_INFINITY, network } = facts
  const limitBytes = memoryBytes / Math.max(1, devices.length)
  return devices.map((lent, position) =>
    rpcDevice({ address, position, ...(network && { network }) }, lent, limitBytes),
  )
}

function rpcDevice(
  rpc: NonNullable<WorkerDevice['rpc']>,
  {
    name,
    description,
    totalBytes,
    freeBytes,
  }: { name: string; description: string; totalBytes: number; freeBytes: number },
  limitBytes: number,
): WorkerDevice {
  const { address } = rpc
  const id = `rpc:${address}/${name}`
  const memoryTotalBytes = Math.min(totalBytes, limitBytes)
  return {
    id,
    kind: 'rpc',
    rpc,
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
  /** What is lent at this moment. */
  lent(): LentDevices
  /** Whether a device that was lent is there. */
  lends(deviceId: string): boolean
  /** Looks now; resolves when it is known who answers. */
  look(): Promise<void>
  /** An engine whose failures are a reason to look: the instance is gone before its worker is known to be. */
  around(engine: Engine): Engine
  close(): void
}

export interface RpcWatchOptions {
  config: LendConfig
  /** Of the llama.cpp that is to use them. */
  engineVersion?: string
  /** What is lent has changed. */
  changed(): void
  /** A device is lost with its machine, or (undefined) there with it. */
  onLost(deviceId: string, reason: string | undefined): void
  clock: Clock
  log: Logger
}

/** A machine that lends, or is to. */
interface Lender {
  address: string
  /** Empty while it lends nothing. */
  devices: readonly WorkerDevice[]
  /** Why it lends nothing. */
  reason?: string
  retryMs: number
  visiting?: Promise<void>
  cancel(): void
}

/**
 * Asks each configured machine what it lends, until it does, and then looks whether it is there. One that has gone lends
 * nothing any more, and is asked anew what it has when it is back. `look` is the first thing to call.
 */
export function watchRpcDevices(options: RpcWatchOptions): RpcWatch {
  const { config, clock, log, onLost } = options
  const { rpcKeyFile } = config
  const end = new AbortController()
  const { signal: ended } = end
  const unused = config.rpcWorkers.length > 0 && rpcKeyFile === undefined ? [noKey] : []
  for (const problem of unused) log.warn({}, problem)
  const lenders = (rpcKeyFile === undefined ? [] : config.rpcWorkers).map(
    (address): Lender => ({ address, devices: [], retryMs: firstRetryMs, cancel: () => undefined }),
  )

  /** Visits that overlap are one; the next is due when it has ended. */
  function visit(lender: Lender): Promise<void> {
    lender.cancel()
    lender.visiting ??= visitNow(lender).finally(() => {
      delete lender.visiting
      if (ended.aborted) return
      const lends = lender.devices.length > 0
      lender.cancel = clock.after(lends ? lookMs : lender.retryMs, () => void visit(lender))
      lender.retryMs = lends ? firstRetryMs : Math.min(longestRetryMs, lender.retryMs * 2)
    })
    return lender.visiting
  }

  async function visitNow(lender: Lender): Promise<void> {
    if (lender.devices.length > 0) {
      const reason = await whyNot(lender.address)
      if (reason !== undefined && !ended.aborted) hasGone(lender, reason)
      return
    }
    try {
      const devices = await askLender(lender.address, rpcKeyFile ?? '', options.engineVersion, ended)
      if (devices.length === 0) throw new Error('it has no devices')
      if (!ended.aborted) hasCome(lender, devices)
    } catch (error) {
      const reason = asDroverError(error).message
      // The same each minute would only fill the log.
      if (ended.aborted || lender.reason === reason) return
      lender.reason = reason
      log.warn({ worker: lender.address, reason }, 'RPC worker lends nothing')
      options.changed()
    }
  }

  function hasCome(lender: Lender, devices: readonly WorkerDevice[]): void {
    lender.devices = devices
    delete lender.reason
    const ids = devices.map(({ id }) => id)
    log.info({ worker: lender.address, devices: ids, ...devices[0]?.rpc?.network }, 'RPC worker lends')
    options.changed()
    for (const id of ids) onLost(id, undefined)
  }

  function hasGone(lender: Lender, reason: string): void {
    const ids = lender.devices.map(({ id }) => id)
    lender.devices = []
    lender.reason = reason
    log.warn({ worker: lender.address, devices: ids, reason }, 'RPC worker is gone')
    // What lies on them ends before anybody wonders where they are.
    for (const id of ids) onLost(id, reason)
    options.changed()
  }

  const look = async () => {
    await Promise.all(lenders.map(visit))
  }
  /** Those that are away already explain nothing. */
  const lookAtLending = async () => {
    await Promise.all(lenders.filter(({ devices }) => devices.length > 0).map(visit))
  }

  return {
    lent: () => ({
      devices: lenders.flatMap(({ devices }) => devices),
      problems: [
        ...unused,
        ...lenders.flatMap(({ address, reason }) => (reason === undefined ? [] : problemOf(address, reason))),
      ],
    }),
    lends: (deviceId) => lenders.some(({ devices }) => devices.some(({ id }) => id === deviceId)),
    look,
    around: (engine) => ({
      ...engine,
      launch: async (spec, signal) => {
        if (!spec.rpcWorkers?.length) return engine.launch(spec, signal)
        try {
          const instance = await engine.launch(spec, signal)
          void instance.exited.then(lookAtLending)
          return instance
        } catch (error) {
          await lookAtLending()
          throw error
        }
      },
    }),
    close: () => {
      end.abort()
      for (const { cancel } of lenders) cancel()
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
