import { DroverError } from '../../inference/index.ts'
import type { Engine, EngineProbe } from '../contract.ts'
import { launchModel } from './launch.ts'
import { findProgram, type OllamaProgram, probeAttached } from './probe.ts'
import { createServers } from './servers.ts'
import { createVocabularies } from './vocabulary.ts'

/**
 * Ollama as an engine: an instance is one model in one Ollama. Without `attachUrls` there is one `ollama serve` for
 * each set of devices (told apart by what a spec's `env` and `cores` leave it), started with the first of its models,
 * ended with the last, on ports from `firstPort` (11435) up, over Drover's own store in `modelsDir`. With `attachUrls`
 * nothing is started: each URL, of an Ollama or of anything that speaks its API, is a device set of its own, and a
 * spec's `OLLAMA_HOST` in `env` chooses one; else the one with the fewest instances is taken that has the model.
 *
 * `program` is taken where given, else `ollama` is looked for on PATH. `keepAlive` goes with every request (-1, for
 * ever: Drover unloads). Temporary files lie in `runDir`.
 */
export function createOllamaEngine(options: {
  program?: string
  attachUrls: readonly string[]
  modelsDir: string
  firstPort?: number
  runDir: string
  log(message: string): void
  keepAlive?: string | number
}): Engine {
  const { attachUrls, modelsDir, firstPort = 11_435, runDir, log, keepAlive = -1 } = options
  let found: Promise<OllamaProgram | { reason: string }> | undefined

  async function find(): Promise<OllamaProgram | { reason: string }> {
    found ??= findProgram(options.program)
    const program = await found
    // What is missing now may be installed later.
    if (!('version' in program)) found = undefined
    return program
  }

  async function programOrThrow(): Promise<OllamaProgram> {
    const program = await find()
    if ('version' in program) return program
    throw new DroverError('engine_unavailable', program.reason)
  }

  const servers = createServers({
    findProgram: programOrThrow,
    attachUrls,
    modelsDir,
    firstPort,
    runDir,
    log,
  })
  const context = { servers, vocabularies: createVocabularies(), keepAlive, log }

  return {
    name: 'ollama',

    async probe(): Promise<EngineProbe> {
      if (attachUrls.length > 0) return probeAttached(attachUrls)
      const program = await find()
      if (!('version' in program)) return { available: false, reason: program.reason }
      return { available: true, ...program, devices: [], flags: new Set() }
    },

    launch: (spec, signal) => launchModel(spec, context, signal),
  }
}
