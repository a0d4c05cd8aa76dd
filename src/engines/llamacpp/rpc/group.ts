import { DroverError } from '../../../inference/index.ts'
import type { InstanceSpec } from '../../contract.ts'
import type { ServerFacts } from '../probe.ts'
import type { TunnelKey } from './key.ts'
import { openTunnel, parseAddress, type Tunnel } from './open-tunnel.ts'

/** The workers of one instance. */
export interface RpcGroup {
  /** As `--rpc` takes them, in the order of the spec; those that could not be reached are left out. */
  readonly endpoints: readonly string[]
  /** Resolves, with a sentence that names it, when one of them is lost; never where all are the user's own. */
  readonly lost: Promise<string>
  /** Puts the workers' own addresses in place of the tunnels' in an engine's words. */
  explain(text: string): string
  close(): Promise<void>
}

const loopback = /^(127(\.\d{1,3}){3}|::1|localhost)$/

/**
 * Makes the workers of a spec reachable: with a key by tunnels, each to a worker of its own that ends with the group;
 * without only those on this machine, which are taken as they are, for the protocol itself knows no password. Where the
 * spec divides the model over certain devices all have to be there; else those that are not are left out, and told in
 * the log. Throws `engine_unavailable`, or `invalid_request` for a worker elsewhere without a key.
 */
export async function openRpcGroup(
  spec: InstanceSpec,
  server: ServerFacts,
  context: { rpcKey?: TunnelKey | undefined; log(message: string): void },
  signal: AbortSignal,
): Promise<RpcGroup | undefined> {
  const { rpcWorkers: addresses = [] } = spec
  if (addresses.length === 0) return undefined
  const { rpcKey: key } = context
  if (!key) return ownWorkers(addresses)
  const opened = await Promise.allSettled(
    addresses.map((address) => openMatching(address, key, server, signal)),
  )
  const tunnels = opened.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
  const failures = opened.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  if (failures.length > 0 && (spec.split || signal.aborted)) {
    await Promise.all(tunnels.map((tunnel) => tunnel.close()))
    throw failures[0]
  }
  for (const failure of failures) {
    context.log(
      `${failure instanceof Error ? failure.message : failure}; ${spec.modelName} is loaded without it`,
    )
  }
  let closed = false
  return {
    endpoints: tunnels.map(({ port }) => `127.0.0.1:${port}`),
    lost: Promise.race(
      tunnels.map(async ({ address, lost }) => {
        const reason = await lost
        // The tunnels' own end is no loss.
        return closed ? new Promise<string>(() => undefined) : `worker ${address} lost: ${reason}`
      }),
    ),
    explain: (text) =>
      tunnels.reduce((words, { port, address }) => words.replaceAll(`127.0.0.1:${port}`, address), text),
    close: async () => {
      closed = true
      await Promise.all(tunnels.map((tunnel) => tunnel.close()))
    },
  }
}

/** The protocol changes with the build, and is only sure to be the same in the same one. */
async function openMatching(
  address: string,
  key: TunnelKey,
  server: ServerFacts,
  signal: AbortSignal,
): Promise<Tunnel> {
  const tunnel = await openTunnel({ address, key, signal })
  const { engineVersion } = tunnel.worker
  if (engineVersion === server.version) return tunnel
  await tunnel.close()
  throw new DroverError(
    'engine_unavailable',
    `worker ${address} has llama.cpp ${engineVersion}, this machine has ${server.version}: install the same on both`,
  )
}

function ownWorkers(addresses: readonly string[]): RpcGroup {
  const elsewhere = addresses.find((address) => !loopback.test(parseAddress(address).host))
  if (elsewhere !== undefined) {
    throw new DroverError(
      'invalid_request',
      `worker ${elsewhere} is on another machine, and there is no key: llama.cpp's RPC has no password and no ` +
        'encryption. Start `drover rpc-worker --key-file FILE` there, and set rpcKeyFile to the same file here',
    )
  }
  return {
    endpoints: addresses,
    lost: new Promise(() => undefined),
    explain: (text) => text,
    close: async () => undefined,
  }
}
