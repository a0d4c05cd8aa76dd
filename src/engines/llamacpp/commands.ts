import type { EngineCommand, InstanceSpec } from '../contract.ts'
import { defaultThreads } from '../process/index.ts'
import { cacheRamMib, mostCacheRamMib } from './launch.ts'
import { launchLine } from './launch-line.ts'
import { parseHelp, type ServerFacts } from './probe.ts'
import { parseAddress } from './rpc/open-tunnel.ts'

/** Where tunnels to workers end in a shown command; a launch takes ports that are free. */
const firstTunnelPort = 50_052
const shownPort = 8080

/** The flags of a current build, for commands on a machine that has none. */
const currentBuild: ServerFacts = {
  path: 'llama-server',
  version: 'current',
  devices: [],
  ...parseHelp(
    [
      '-fa, --flash-attn [on|off|auto]',
      "-ngl, --n-gpu-layers N  'auto' or 'all'",
      '-sm, --split-mode {none,layer,row,tensor}',
      '--lora FNAME  comma-separated',
      '--spec-type draft-simple',
      ...[
        ...['--slots', '--metrics', '--no-jinja', '--chat-template', '--cache-ram', '--no-ui', '--offline'],
        ...['--context-shift', '--no-context-shift', '--slot-save-path', '--override-kv', '--mmproj'],
        ...['--pooling', '--load-mode', '--fit', '--device', '--tensor-split', '--rpc', '--n-cpu-moe'],
        ...['--override-tensor', '--spec-draft-model', '--spec-draft-device', '--spec-draft-ngl'],
        ...[
          '--spec-draft-n-max',
          '--log-verbosity',
          '--no-log-prefix',
          '--no-log-timestamps',
          '--log-colors',
        ],
      ].map((flag) => `${flag} VALUE`),
    ].join('\n'),
  ),
}

/**
 * The processes of an instance, as they would be started: the server with the flags that the installed build has (a
 * current one's where none is installed), listening on a port in place of the socket of its own that it is given; and
 * before it the worker of each other node.
 */
export function commandsOf(
  spec: InstanceSpec,
  server: ServerFacts | undefined,
  options: { rpcKeyFile?: string },
): EngineCommand[] {
  const { rpcWorkers = [], rpcDevices = [] } = spec
  const facts = server ?? currentBuild
  const { rpcKeyFile } = options
  const keyed = rpcKeyFile !== undefined
  const workers = rpcWorkers.map((address, at): EngineCommand => {
    const { host, port } = parseAddress(address)
    const argv = keyed
      ? ['drover', 'rpc-worker', '--listen', `0.0.0.0:${port}`, '--key-file', rpcKeyFile]
      : ['ggml-rpc-server', '-H', '127.0.0.1', '-p', String(port), '-c']
    const devices = rpcDevices[at]
    return { node: host, env: {}, argv: devices ? [...argv, '--device', devices.join(',')] : argv }
  })
  const line = launchLine(spec, facts, {
    endpoint: { port: spec.port ?? shownPort },
    threads: spec.threads ?? spec.cores?.length ?? defaultThreads(),
    // Of a machine elsewhere the memory is not known: the most that any gets.
    cacheRamMib: server ? cacheRamMib : mostCacheRamMib,
    ...(keyed && { rpcEndpoints: rpcWorkers.map((_, index) => `127.0.0.1:${firstTunnelPort + index}`) }),
  })
  return [...workers, { env: { GGML_NO_BACKTRACE: '1', ...spec.env }, argv: [facts.path, ...line] }]
}
