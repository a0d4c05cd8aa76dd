/**
 * A chain of engines: each model runs on the first that can have it and has not failed at it lately. The decision is a
 * pure function of what the engines can do, what the model needs, and what has happened.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../core/index.ts'
import { DroverError, type ErrorCode } from '../inference/index.ts'
import type {
  Engine,
  EngineInstance,
  EngineName,
  EngineProbe,
  InstanceExit,
  InstanceSpec,
} from './contract.ts'

/** `gguf` one file, `safetensors` a folder of Hugging Face, `exl` one that ExLlama has quantised. */
export type ModelFormat = 'gguf' | 'safetensors' | 'exl' | 'unknown'

export interface EngineAbilities {
  /** `any`: a server that has its models by itself. */
  formats: readonly ModelFormat[] | 'any'
  embedding: boolean
  /** Pictures, by a projector's file. */
  projector: boolean
  adapters: boolean
}

const full = { embedding: true, projector: true, adapters: true }
const gguf: readonly ModelFormat[] = ['gguf', 'unknown']

/** Of engines that Drover starts; one that is attached has its models by itself. */
export const abilitiesOf: Readonly<Record<EngineName, EngineAbilities>> = {
  'llama.cpp': { ...full, formats: gguf },
  embedded: { ...full, formats: gguf, projector: false },
  ollama: { ...full, formats: gguf },
  vllm: { formats: ['safetensors'], embedding: true, projector: false, adapters: true },
  sglang: { formats: ['safetensors'], embedding: true, projector: false, adapters: false },
  exllama: { formats: ['exl'], embedding: false, projector: false, adapters: false },
  openai: { formats: 'any', embedding: true, projector: false, adapters: false },
}

/** What an instance needs of its engine. */
export interface EngineNeeds {
  modelName: string
  format: ModelFormat
  embedding: boolean
  projector: boolean
  adapters: boolean
}

/** An engine in a chain, without its code. */
export interface ChainMember {
  name: EngineName
  abilities: EngineAbilities
  /** Models that it has in its own form, wherever the store's file is of another. */
  ownModels?: ReadonlySet<string>
}

/** What went wrong with a model on an engine. */
export interface EngineFailure {
  engine: EngineName
  modelName: string
  kind: 'launch' | 'crash'
  reason: string
  atMs: number
}

/** So long after a failure the engine is tried again, first in its turn. */
export const retryAfterMs = 5 * 60_000
/** A crash may happen; so many within `retryAfterMs` are a loop. */
export const mostCrashes = 3

export interface EngineOrder {
  /** Places in the chain, in the order in which they are to be tried. */
  order: readonly number[]
  /** Those before, or left out, with why. */
  passed: readonly { name: EngineName; reason: string }[]
}

/**
 * The engines to try for a model: those that are able to have it, the chain's first before its next, and those that
 * failed at it within `retryAfterMs` last. Pure.
 */
export function chooseEngine(
  chain: readonly ChainMember[],
  needs: EngineNeeds,
  failures: readonly EngineFailure[],
  nowMs: number,
): EngineOrder {
  const order: number[] = []
  const doubtful: number[] = []
  const passed: { name: EngineName; reason: string }[] = []
  for (const [index, member] of chain.entries()) {
    const inability = inabilityOf(member, needs)
    const doubt = inability === undefined ? doubtOf(member, needs, failures, nowMs) : undefined
    if (inability === undefined && doubt === undefined) order.push(index)
    else passed.push({ name: member.name, reason: inability ?? doubt ?? '' })
    if (doubt !== undefined) doubtful.push(index)
  }
  return { order: [...order, ...doubtful], passed }
}

function inabilityOf({ abilities, ownModels }: ChainMember, needs: EngineNeeds): string | undefined {
  const { formats, embedding, projector, adapters } = abilities
  if (formats !== 'any' && !formats.includes(needs.format) && !ownModels?.has(needs.modelName)) {
    return `it runs ${formats.filter((one) => one !== 'unknown').join(' and ')}, and the model is ${needs.format}`
  }
  if (needs.embedding && !embedding) return 'it does not embed'
  if (needs.projector && !projector) return 'it takes no pictures'
  if (needs.adapters && !adapters) return 'it takes no adapters'
  return undefined
}

function doubtOf(
  { name }: ChainMember,
  { modelName }: EngineNeeds,
  failures: readonly EngineFailure[],
  nowMs: number,
): string | undefined {
  const recent = failures.filter(
    (one) => one.engine === name && one.modelName === modelName && nowMs - one.atMs < retryAfterMs,
  )
  const launch = recent.findLast(({ kind }) => kind === 'launch')
  if (launch) return `its last launch failed: ${launch.reason}`
  const crashes = recent.filter(({ kind }) => kind === 'crash')
  if (crashes.length < mostCrashes) return undefined
  return `it crashed ${crashes.length} times in ${retryAfterMs / 60_000} minutes: ${crashes.at(-1)?.reason}`
}

/** An engine of a chain. */
export interface ChainLink extends ChainMember {
  engine: Engine
}

/** After these the next engine is asked; anything else is not the engine's doing. */
const engineFaults: readonly ErrorCode[] = [
  'load_failed',
  'load_stalled',
  'insufficient_memory',
  'engine_unavailable',
  'engine_crashed',
  'engine_failed',
  'crash_loop',
  'unsupported',
]
/** Failures that are kept; the oldest go first. */
const mostFailures = 1_000

/**
 * The chain as one engine, by the name of its first. It is available where any of its engines is; each of its instances
 * tells which one it is of. `chain` is asked anew for each launch: the configuration may change.
 */
export function createFallbackEngine(
  chain: () => readonly [ChainLink, ...ChainLink[]],
  { clock, log }: { clock: Clock; log(message: string): void },
): Engine {
  let failures: EngineFailure[] = []
  const [{ name }] = chain()

  function note(failure: Omit<EngineFailure, 'atMs'>): void {
    failures = [...failures, { ...failure, atMs: clock.monotonicMs() }].slice(-mostFailures)
  }

  function watch(instance: EngineInstance, modelName: string): EngineInstance {
    instance.exited.then(({ kind, reason, killed }: InstanceExit) => {
      if (kind === 'closed' || killed) return
      note({ engine: instance.engine, modelName, kind: 'crash', reason })
    })
    return instance
  }

  async function launch(spec: InstanceSpec, signal: AbortSignal): Promise<EngineInstance> {
    const { modelName } = spec
    const links = chain()
    const { order, passed } = chooseEngine(links, await needsOf(spec), failures, clock.monotonicMs())
    const reasons = passed.map(({ name, reason }) => `${name}: ${reason}`)
    let last: DroverError | undefined
    for (const index of order) {
      const { engine, name } = links[index] ?? links[0]
      try {
        const instance = await engine.launch(spec, signal)
        if (reasons.length > 0) log(`${modelName} runs on ${name}. ${reasons.join('; ')}`)
        return watch(instance, modelName)
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof DroverError) || !engineFaults.includes(error.code)) throw error
        note({ engine: name, modelName, kind: 'launch', reason: error.message })
        reasons.push(`${name}: ${error.message}`)
        last = error
      }
    }
    // Of several engines' reasons the last one's code stands for all.
    const code =
      order.length > 1 && last?.code !== 'insufficient_memory' ? 'load_failed' : (last?.code ?? 'load_failed')
    throw new DroverError(code, `no engine can run ${modelName}. ${reasons.join('; ')}`, { cause: last })
  }

  function firstFor(needs: Known, format: ModelFormat): ChainLink {
    const links = chain()
    const { order } = chooseEngine(links, needsOfKnown(needs, format), failures, clock.monotonicMs())
    return links[order[0] ?? 0] ?? links[0]
  }

  return {
    name,
    probe: () => probeAll(chain()),
    launch,
    // The store's files are GGUF; who has another form of a model says so itself.
    nameFor: (needs) => firstFor(needs, 'gguf').name,
    commands: (spec) => firstFor(spec, 'unknown').engine.commands?.(spec) ?? [],
  }
}

async function probeAll(links: readonly ChainLink[]): Promise<EngineProbe> {
  const reasons: string[] = []
  for (const { engine, name } of links) {
    const probe = await engine.probe()
    if (probe.available) return probe
    reasons.push(`${name}: ${probe.reason}`)
  }
  return { available: false, reason: reasons.join('; ') }
}

async function needsOf(spec: InstanceSpec): Promise<EngineNeeds> {
  return needsOfKnown(spec, await formatOf(spec.modelPath))
}

type Known = Pick<InstanceSpec, 'modelName' | 'embedding' | 'projectorPaths' | 'adapterPaths'>

function needsOfKnown(spec: Known, format: ModelFormat): EngineNeeds {
  return {
    modelName: spec.modelName,
    format,
    embedding: spec.embedding,
    projector: spec.projectorPaths.length > 0,
    adapters: spec.adapterPaths.length > 0,
  }
}

/** What lies at a path: a file is GGUF; of a folder its `config.json` tells who quantised it. */
export async function formatOf(path: string): Promise<ModelFormat> {
  try {
    if (!(await stat(path)).isDirectory()) return 'gguf'
    const names = await readdir(path)
    if (
      names.includes('config.json') &&
      /"quant_method"\s*:\s*"exl[23]"/.test(await readFile(join(path, 'config.json'), 'utf8'))
    )
      return 'exl'
    return names.some((name) => name.endsWith('.safetensors')) ? 'safetensors' : 'unknown'
  } catch {
    // A name on Hugging Face, or nothing: the engine says what is missing.
    return 'unknown'
  }
}
