import { askServer, parseDevices } from '../probe.ts'

/** What a server calls the devices of workers, which a spec calls `RPC0`, `RPC1` in the order of the workers. */
export interface RpcDeviceNames {
  /** As `--device` takes them, by the spec's names. */
  arguments: ReadonlyMap<string, string>
  /** A log whose lines about buffers have the spec's names. */
  inSpecsWords(log: string): string
}

/** Asks the server what it finds behind the endpoints. */
export async function rpcDeviceNames(
  serverPath: string,
  endpoints: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<RpcDeviceNames> {
  return namesIn(await askServer(serverPath, ['--rpc', endpoints.join(','), '--list-devices'], env))
}

/** Newer builds say `RPC0: host:port`, and `RPC0[host:port]` of a buffer; older `RPC[host:port]` of both. */
export function namesIn(listing: string): RpcDeviceNames {
  const devices = parseDevices(listing).filter(({ name }) => name.startsWith('RPC'))
  const seen = new Map<string, number>()
  const pairs = devices.map(({ name, description }, index) => {
    const device = seen.get(description) ?? 0
    seen.set(description, device + 1)
    return { spec: `RPC${index}`, name, buffer: name.includes('[') ? name : `RPC${device}[${description}]` }
  })
  return {
    arguments: new Map(pairs.map(({ spec, name }) => [spec, name])),
    inSpecsWords: (log) => pairs.reduce((text, { spec, buffer }) => text.replaceAll(buffer, spec), log),
  }
}
