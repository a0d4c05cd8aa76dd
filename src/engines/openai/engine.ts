import { stat } from 'node:fs/promises'
import { DroverError } from '../../inference/index.ts'
import { isSameModel } from '../../models/index.ts'
import type {
  Engine,
  EngineCommand,
  EngineInstance,
  EngineName,
  EngineProbe,
  InstanceMemory,
  InstanceSpec,
} from '../contract.ts'
import { createVocabularies } from '../ollama/vocabulary.ts'
import { attach, clientOf } from './attach.ts'
import { wordsOf } from './client.ts'
import type { Dialect } from './dialect.ts'
import { identify, versionOf } from './identify.ts'
import { createInstance } from './instance.ts'
import type { OpenAiServer } from './server.ts'
import { type Place, type ServerCommand, spawnServer } from './spawn.ts'
import { type OpenAiTarget, serverVariable, shownUrl } from './target.ts'

/** The engine's program on this machine. */
export interface ProgramFacts {
  version: string
  path: string
  flags: ReadonlySet<string>
}

/** How an engine is started here; what it is, once it answers, is in its dialect. */
export interface LocalEngine<Facts extends ProgramFacts> {
  dialect: Dialect
  /** Looks for the program and asks it; why it cannot be had, else. Never throws. */
  find(): Promise<Facts | { reason: string }>
  /** Throws `unsupported` for what the engine cannot do. */
  command(spec: InstanceSpec, facts: Facts, place: Place): ServerCommand
  /** Every process of the instance. `facts` are absent before the program was looked for. */
  commands(spec: InstanceSpec, facts: Facts | undefined): EngineCommand[]
  /** What it took, by what it printed; `devices` of them share the model. */
  memory(log: string, devices: number): InstanceMemory
  /** The server's name of the model; absent: Drover's. */
  servedName?(spec: InstanceSpec): string
  /** Makes the model ready in a server that is up; absent: it is by then. */
  load?(server: OpenAiServer, spec: InstanceSpec, signal: AbortSignal): Promise<void>
}

export interface HttpEngineOptions {
  /** Servers that run already: with any of them none is started. */
  targets: readonly OpenAiTarget[]
  /** Where the models are that are no file of the store, by Drover's names: folders, or names on Hugging Face. */
  modelFolders: ReadonlyMap<string, string>
  runDir: string
  log(message: string): void
}

/** An engine that is asked over HTTP as OpenAI's API is, attached to servers or started by Drover. */
export function createHttpEngine<Facts extends ProgramFacts>(
  name: EngineName,
  options: HttpEngineOptions,
  local?: LocalEngine<Facts>,
): Engine {
  const { targets, modelFolders, runDir, log } = options
  const vocabularies = createVocabularies()
  const instances = new Map<string, number>()
  let found: Promise<Facts | { reason: string }> | undefined
  let known: Facts | undefined

  async function find(engine: LocalEngine<Facts>): Promise<Facts | { reason: string }> {
    found ??= engine.find()
    const facts = await found
    // What is missing now may be installed later.
    if ('version' in facts) known = facts
    else found = undefined
    return facts
  }

  function withFolder(spec: InstanceSpec): InstanceSpec {
    const folder = [...modelFolders].find(([model]) => isSameModel(model, spec.modelName))?.[1]
    return folder === undefined ? spec : { ...spec, modelPath: folder }
  }

  async function launchAttached(spec: InstanceSpec, signal: AbortSignal): Promise<EngineInstance> {
    const refusals: unknown[] = []
    for (const target of candidates(spec)) {
      try {
        const joined = await attach(target, spec, signal)
        const instance = createInstance({ engine: name, spec, ...joined, vocabularies, log })
        count(target.url, 1)
        instance.exited.then(() => count(target.url, -1))
        return instance
      } catch (error) {
        signal.throwIfAborted()
        refusals.push(error)
      }
    }
    throw refusedByAll(refusals, spec)
  }

  /** Those that may have the model, the one with the fewest instances first. */
  function candidates({ env, modelName }: InstanceSpec): OpenAiTarget[] {
    const wanted = env?.[serverVariable]
    const usable = targets.filter(
      ({ url, model }) =>
        (wanted === undefined || shownUrl(url) === shownUrl(wanted)) &&
        (wanted !== undefined || model === undefined || isSameModel(model, modelName)),
    )
    return usable.toSorted((a, b) => (instances.get(a.url) ?? 0) - (instances.get(b.url) ?? 0))
  }

  function count(url: string, change: number): void {
    instances.set(url, (instances.get(url) ?? 0) + change)
  }

  async function launchLocal(
    engine: LocalEngine<Facts>,
    given: InstanceSpec,
    signal: AbortSignal,
  ): Promise<EngineInstance> {
    const facts = await find(engine)
    if (!('version' in facts)) throw new DroverError('engine_unavailable', facts.reason)
    const spec = withFolder(given)
    await refuseFile(spec, engine.dialect)
    const server = await spawnServer(
      {
        spec,
        dialect: engine.dialect,
        command: (place) => engine.command(spec, facts, place),
        runDir,
        log,
      },
      signal,
    )
    try {
      await engine.load?.(server, spec, signal)
    } catch (error) {
      await server.stop(0)
      throw error
    }
    const { tensor = 1, pipeline = 1, data = 1 } = spec.parallel ?? {}
    const memory = engine.memory(server.output.text(), tensor * pipeline * data)
    const { contextLength, slots } = spec
    const served = engine.servedName?.(spec) ?? spec.modelName
    const model = { name: served, contextLength, slots, memory, chatOnly: false }
    // What is printed from here on is about requests, and perhaps the end.
    server.output.clear()
    return createInstance({ engine: name, spec, server, model, vocabularies, log })
  }

  return {
    name,

    async probe(): Promise<EngineProbe> {
      if (targets.length > 0) return probeTargets(targets)
      if (!local) {
        return { available: false, reason: 'no server is named: give the addresses of some (openaiUrls)' }
      }
      const facts = await find(local)
      if (!('version' in facts)) return { available: false, reason: facts.reason }
      const { version, path, flags } = facts
      return { available: true, version, path, devices: [], flags }
    },

    async launch(spec, signal) {
      if (targets.length > 0) return launchAttached(spec, signal)
      if (!local)
        throw new DroverError('engine_unavailable', 'no server is named for the engine openai (openaiUrls)')
      return launchLocal(local, spec, signal)
    },

    commands: (spec) => (targets.length > 0 || !local ? [] : local.commands(withFolder(spec), known)),
  }
}

/** These engines read a folder of Hugging Face; what the store has is mostly a GGUF file. */
async function refuseFile({ modelPath, modelName }: InstanceSpec, { title }: Dialect): Promise<void> {
  if (!(await isFile(modelPath))) return
  throw new DroverError(
    'load_failed',
    `${title} runs models as Hugging Face has them, in a folder, and ${modelName} is a GGUF file: name its folder ` +
      `(modelFolders: ["${modelName}=/path/to/folder"]), or run it with llama.cpp`,
  )
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch {
    // A name on Hugging Face is no path; the engine says what it cannot find.
    return false
  }
}

function refusedByAll(refusals: readonly unknown[], { modelName, env }: InstanceSpec): unknown {
  if (refusals.length === 1) return refusals[0]
  if (refusals.length === 0) {
    const wanted = env?.[serverVariable]
    const which = wanted === undefined ? `is there for ${modelName}` : `has the URL ${shownUrl(wanted)}`
    return new DroverError('load_failed', `no attached server ${which}: correct openaiUrls`)
  }
  const noMemory = refusals.every((one) => one instanceof DroverError && one.code === 'insufficient_memory')
  return new DroverError(noMemory ? 'insufficient_memory' : 'load_failed', refusals.map(wordsOf).join('; '))
}

/** Available where at least one of them answers. */
async function probeTargets(targets: readonly OpenAiTarget[]): Promise<EngineProbe> {
  const answers = await Promise.all(targets.map(askTarget))
  const first = answers.find((answer) => 'version' in answer)
  if (first && 'version' in first) return { available: true, ...first, devices: [], flags: new Set() }
  const reasons = answers.flatMap((answer) => ('reason' in answer ? answer.reason : [])).join('; ')
  return { available: false, reason: `no server answers. ${reasons}. Start them, or correct openaiUrls.` }
}

async function askTarget(
  target: OpenAiTarget,
): Promise<{ path: string; version: string } | { reason: string }> {
  const path = shownUrl(target.url)
  try {
    const client = clientOf(target)
    try {
      const { dialect } = await identify(client, target.kind)
      return { path, version: (await versionOf(client, dialect)) ?? `${dialect.kind}, of no version` }
    } finally {
      await client.close()
    }
  } catch (error) {
    return { reason: `${path}: ${wordsOf(error)}` }
  }
}
