import { mkdir } from 'node:fs/promises'
import { DroverError } from '../../inference/index.ts'
import type { Engine, EngineProbe, InstanceSpec, Speculation } from '../contract.ts'
import { commandsOf } from './commands.ts'
import { launchServer } from './launch.ts'
import { findServer, type ServerFacts } from './probe.ts'
import { readTunnelKey } from './rpc/key.ts'

export { askFitParams, type SecondOpinion } from './fit-params.ts'
export {
  createRpcNode,
  describeRpcWorker,
  ensureTunnelKey,
  type NetworkFacts,
  type RpcNode,
} from './rpc/index.ts'

/**
 * llama.cpp through its `llama-server`, one process an instance. `serverPath` is taken where given; else the
 * program is looked for on PATH and in `enginesDir`. Sockets and keys lie in `runDir`, in a folder an instance
 * that only this user can read. With `rpcKeyFile`, which nodes that serve `drover rpc-worker` have too, instances may
 * use the devices of those; without, only RPC workers on this machine.
 */
export function createLlamaCppEngine(options: {
  serverPath?: string
  enginesDir: string
  runDir: string
  rpcKeyFile?: string
  log(message: string): void
}): Engine {
  let known: ServerFacts | undefined
  /** Pairs of models whose guesses cost more than they bring, with the figures that say so. */
  const losingPairs = new Map<string, Speculation>()
  let found: Promise<ServerFacts | { reason: string }> | undefined

  async function find(): Promise<ServerFacts | { reason: string }> {
    found ??= findServer(options)
    const facts = await found
    // What is missing now may be installed later.
    if ('version' in facts) known = facts
    else found = undefined
    return facts
  }

  function withoutLosingDraft(spec: InstanceSpec): InstanceSpec {
    if (!spec.draft || !losingPairs.has(pairOf(spec))) return spec
    const { draft: _, ...plain } = spec
    return plain
  }

  return {
    name: 'llama.cpp',

    async probe(): Promise<EngineProbe> {
      const facts = await find()
      if (!('version' in facts)) return { available: false, reason: facts.reason }
      const { version, path, devices, flags } = facts
      return { available: true, version, path, devices, flags }
    },

    async launch(spec, signal) {
      const facts = await find()
      if (!('version' in facts)) throw new DroverError('engine_unavailable', facts.reason)
      await mkdir(options.runDir, { recursive: true, mode: 0o700 })
      const { rpcKeyFile } = options
      const rpcKey =
        spec.rpcWorkers?.length && rpcKeyFile !== undefined ? await readTunnelKey(rpcKeyFile) : undefined
      const onDraftLoses = (figures: Speculation) => void losingPairs.set(pairOf(spec), figures)
      const context = { ...options, rpcKey, onDraftLoses }
      const lost = spec.draft && losingPairs.get(pairOf(spec))
      const instance = await launchServer(withoutLosingDraft(spec), facts, context, signal)
      return lost ? { ...instance, speculation: () => ({ ...lost, switchedOff: true }) } : instance
    },

    commands: (spec) => commandsOf(withoutLosingDraft(spec), known, options),
  }
}

const pairOf = ({ modelPath, draft }: InstanceSpec) => `${modelPath}\n${draft?.modelPath}`
