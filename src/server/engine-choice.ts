import type { Config } from '../config/index.ts'
import { systemClock } from '../core/index.ts'
import {
  createEmbeddedEngine,
  createLlamaCppEngine,
  createOllamaEngine,
  type Engine,
  type EngineProbe,
  superviseEngine,
} from '../engines/index.ts'
import { DroverError } from '../inference/index.ts'
import type { Logger } from '../observability/index.ts'

export type AvailableProbe = EngineProbe & { available: true }

/** An engine that answered its probe. */
export interface ChosenEngine {
  engine: Engine
  probe: AvailableProbe
}

/**
 * The first of the engines that this machine has. Throws `engine_unavailable` with every engine's reason when it
 * has none.
 */
export async function chooseEngine(engines: readonly Engine[], log: Logger): Promise<ChosenEngine> {
  const reasons: string[] = []
  for (const engine of engines) {
    const probe = await engine.probe()
    if (probe.available) {
      const devices = probe.devices.map((device) => `${device.name} ${device.description}`)
      log.info({ engine: engine.name, version: probe.version, path: probe.path, devices }, 'engine found')
      return { engine, probe }
    }
    reasons.push(`${engine.name}: ${probe.reason}`)
  }
  throw new DroverError('engine_unavailable', `no engine can run models here. ${reasons.join('; ')}`)
}

/** The engines that the configuration allows, the better first; their instances are watched. */
export function enginesOf(config: Config, runDir: string, log: Logger): Engine[] {
  const llamaCpp = createLlamaCppEngine({
    enginesDir: config.enginesDir,
    runDir,
    log: (message) => log.debug({ engine: 'llama.cpp' }, message),
    ...(config.llamaServerPath !== undefined && { serverPath: config.llamaServerPath }),
  })
  const embedded = createEmbeddedEngine({ log: (message) => log.debug({ engine: 'embedded' }, message) })
  const ollama = createOllamaEngine({
    attachUrls: config.ollamaUrls,
    modelsDir: config.modelsDir,
    runDir,
    log: (message) => log.debug({ engine: 'ollama' }, message),
    ...(config.ollamaProgram !== undefined && { program: config.ollamaProgram }),
  })
  const byChoice = {
    auto: [llamaCpp, embedded],
    'llama.cpp': [llamaCpp],
    embedded: [embedded],
    ollama: [ollama],
  }
  return byChoice[config.engine].map((engine) =>
    superviseEngine(engine, { hangTimeoutMs: config.hangTimeoutMs, clock: systemClock }),
  )
}
