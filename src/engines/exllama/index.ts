import { basename } from 'node:path'
import type { Engine } from '../contract.ts'
import { createHttpEngine, type HttpEngineOptions } from '../openai/engine.ts'
import { tabbyCommand, tabbyCommands } from './config.ts'
import { exllamaDialect } from './dialect.ts'
import { loadInTabby } from './load.ts'
import { findTabby, type TabbyFacts } from './probe.ts'

/**
 * ExLlama through TabbyAPI: one TabbyAPI an instance, from the folder `program`, which loads the model by its API; or
 * servers that run already.
 */
export function createExllamaEngine({
  program,
  ...options
}: HttpEngineOptions & { program?: string }): Engine {
  return createHttpEngine<TabbyFacts>('exllama', options, {
    dialect: exllamaDialect,
    find: () => findTabby(program),
    command: tabbyCommand,
    commands: tabbyCommands,
    // It prints no sizes.
    memory: () => ({ vramBytes: 0, hostBytes: 0 }),
    servedName: ({ modelPath }) => basename(modelPath),
    async load(server, spec, signal) {
      await loadInTabby(server, basename(spec.modelPath), spec, signal)
    },
  })
}
