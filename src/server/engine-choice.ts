import type { Config } from '../config/index.ts'
import { systemClock } from '../core/index.ts'
import {
  abilitiesOf,
  type ChainLink,
  createEmbeddedEngine,
  createExllamaEngine,
  createFallbackEngine,
  createLlamaCppEngine,
  createOllamaEngine,
  createOpenAiEngine,
  createSglangEngine,
  createVllmEngine,
  type Engine,
  type EngineName,
  type EngineProbe,
  type OpenAiTarget,
  serverVariable,
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

/** These list devices under names of their own; the others take any card that they are shown. */
export const listsDevices = (name: EngineName): boolean => name === 'llama.cpp' || name === 'embedded'

/** Every engine that there is, as the configuration sets it up. */
export function allEngines(config: Config, runDir: string, log: Logger): Record<EngineName, Engine> {
  const llamaCpp = createLlamaCppEngine({
    enginesDir: config.enginesDir,
    runDir,
    log: (message) => log.debug({ engine: 'llama.cpp' }, message),
    ...(config.llamaServerPath !== undefined && { serverPath: config.llamaServerPath }),
    ...(config.rpcKeyFile !== undefined && { rpcKeyFile: config.rpcKeyFile }),
  })
  const embedded = createEmbeddedEngine({ log: (message) => log.debug({ engine: 'embedded' }, message) })
  const ollama = createOllamaEngine({
    attachUrls: config.ollamaUrls,
    modelsDir: config.modelsDir,
    runDir,
    log: (message) => log.debug({ engine: 'ollama' }, message),
    ...(config.ollamaProgram !== undefined && { program: config.ollamaProgram }),
  })
  return { 'llama.cpp': llamaCpp, embedded, ollama, ...httpEngines(config, runDir, log) }
}

/** The engines that the configuration allows, the better first; their instances are watched. */
export function enginesOf(config: Config, runDir: string, log: Logger): Engine[] {
  const byName = allEngines(config, runDir, log)
  const chosen = config.engine === 'auto' ? [byName['llama.cpp'], byName.embedded] : [byName[config.engine]]
  const chain = chainOf(config, byName, log)
  return (chain ? [chain] : chosen).map((engine) =>
    superviseEngine(engine, { hangTimeoutMs: config.hangTimeoutMs, clock: systemClock }),
  )
}

/**
 * The addresses of servers that run already, where those are all that there is: each counts as a device, and is chosen
 * by a variable of an instance's environment.
 */
export function attachedServers(config: Config): { urls: string[]; variable: string } {
  const [engine = config.engine, ...more] = chainNames(config)
  if (engine === 'ollama' && more.length === 0) return { urls: config.ollamaUrls, variable: 'OLLAMA_HOST' }
  // Behind one another, engines share the machine with some that need its devices.
  const targets = more.length > 0 ? [] : targetsOf(config, engine)
  return { urls: targets.map(({ url }) => url), variable: serverVariable }
}

/** Attached servers that say whose they are serve that engine; `openai` takes every one. */
function targetsOf({ openaiUrls }: Config, name: Config['engine']): OpenAiTarget[] {
  return name === 'openai' ? openaiUrls : openaiUrls.filter(({ kind }) => kind === name)
}

function httpEngines(config: Config, runDir: string, log: Logger) {
  const optionsOf = (name: 'vllm' | 'sglang' | 'exllama' | 'openai') => {
    const program = config.enginePrograms.get(name)
    return {
      targets: targetsOf(config, name),
      modelFolders: config.modelFolders,
      runDir,
      log: (message: string) => log.debug({ engine: name }, message),
      ...(program !== undefined && { program }),
    }
  }
  return {
    vllm: createVllmEngine(optionsOf('vllm')),
    sglang: createSglangEngine(optionsOf('sglang')),
    exllama: createExllamaEngine(optionsOf('exllama')),
    openai: createOpenAiEngine(optionsOf('openai')),
  }
}

/**
 * The engines of `multi_gpu.backends`, one behind the other; undefined where none is named. What changes of them while
 * the server runs holds from the next launch on.
 */
function chainOf(config: Config, byName: Record<EngineName, Engine>, log: Logger): Engine | undefined {
  const links = () => chainNames(config).map((name) => linkOf(name, byName[name], config))
  const [first] = links()
  if (!first) return undefined
  const logged = (message: string) => log.info({ engine: first.name }, message)
  const chain = (): [ChainLink, ...ChainLink[]] => {
    const [one = first, ...rest] = links()
    return [one, ...rest]
  }
  return createFallbackEngine(chain, { clock: systemClock, log: logged })
}

/** Without repetition, none where none is named; a fallback alone comes behind what `engine` names. */
function chainNames({ engine, multiGpu: { backends } }: Config): EngineName[] {
  const { primary, fallback, legacy } = backends
  if (primary === undefined && fallback === undefined && legacy === undefined) return []
  const first = primary ?? (engine === 'auto' ? 'llama.cpp' : engine)
  return [...new Set([first, ...(fallback ? [fallback] : []), ...(legacy ? [legacy] : [])])]
}

function linkOf(name: EngineName, engine: Engine, config: Config): ChainLink {
  const attached = targetsOf(config, name)
  const abilities = abilitiesOf[name]
  return {
    name,
    engine,
    abilities: attached.length > 0 ? { ...abilities, formats: 'any' } : abilities,
    ownModels: new Set(config.modelFolders.keys()),
  }
}
