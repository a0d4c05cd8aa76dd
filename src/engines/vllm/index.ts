import { DroverError } from '../../inference/index.ts'
import type { Engine, InstanceSpec } from '../contract.ts'
import { createHttpEngine, type HttpEngineOptions } from '../openai/engine.ts'
import { vllmDialect } from './dialect.ts'
import { adapterName, environmentOf, kvEventsOf, launchLine, vllmCommands } from './launch-line.ts'
import { vllmMemory } from './log.ts'
import { findVllm, type VllmFacts } from './probe.ts'

/**
 * vLLM: one `vllm serve` an instance, from `program` or the PATH, or servers that run already. A group over several
 * machines is shown by `commands` and attached by its head's address: Drover starts processes of its own machine only.
 */
export function createVllmEngine({ program, ...options }: HttpEngineOptions & { program?: string }): Engine {
  return createHttpEngine<VllmFacts>('vllm', options, {
    dialect: vllmDialect,
    find: () => findVllm(program),
    command(spec, facts, { port, folder, apiKey }) {
      refuseGroup(spec)
      const line = launchLine(spec, facts, { host: '127.0.0.1', port })
      const events = kvEventsOf(spec, facts, folder)
      // Not on the command line, which everybody can read.
      const env = { ...environmentOf(spec), VLLM_API_KEY: apiKey }
      const argv = [...facts.command, ...line, ...(events?.args ?? [])]
      return { argv, env, ...(events && { kvEvents: events.endpoint }) }
    },
    commands: vllmCommands,
    memory: vllmMemory,
    servedName: ({ modelName, adapterPaths }) => (adapterPaths.length > 0 ? adapterName : modelName),
  })
}

/** Throws `unsupported` for groups of machines. */
export function refuseGroup({ parallel, modelName }: InstanceSpec): void {
  const nodes = parallel?.nodes?.length ?? 1
  if (nodes < 2) return
  throw new DroverError(
    'unsupported',
    `${modelName} is to run over ${nodes} machines: start the commands of its plan on each of them, and attach the ` +
      'first by its address (openaiUrls)',
  )
}
