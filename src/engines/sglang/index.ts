import type { Engine } from '../contract.ts'
import { createHttpEngine, type HttpEngineOptions } from '../openai/engine.ts'
import { refuseGroup } from '../vllm/index.ts'
import { sglangDialect } from './dialect.ts'
import { environmentOf, launchLine, sglangCommands } from './launch-line.ts'
import { sglangMemory } from './log.ts'
import { findSglang } from './probe.ts'

/**
 * SGLang: one `sglang.launch_server` an instance, by the Python at `program` or on the PATH, or servers that run already.
 * Groups of machines as with vLLM.
 */
export function createSglangEngine({
  program,
  ...options
}: HttpEngineOptions & { program?: string }): Engine {
  return createHttpEngine('sglang', options, {
    dialect: sglangDialect,
    find: () => findSglang(program),
    command(spec, facts, { port }) {
      refuseGroup(spec)
      // It takes a key on the command line only, where everybody could read it: so it has none, and hears this host only.
      const line = launchLine(spec, facts, { host: '127.0.0.1', port })
      return { argv: [facts.path, '-m', 'sglang.launch_server', ...line], env: environmentOf(spec) }
    },
    commands: sglangCommands,
    memory: sglangMemory,
  })
}
