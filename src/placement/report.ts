import type { EngineCommand, EngineName, InstanceSpec, SecondOpinion } from '../engines/index.ts'
import type { Inventory, Plan, PlanModel, PlanResult } from './contract.ts'
import { type SpecBase, specOfPlan } from './instance-spec.ts'
import type { Turns } from './planner/index.ts'

/** A plan with what a reader needs beside it. */
export type PlanReport = ModelReport & {
  inventory: Inventory
  /** What `llama-fit-params` says of the best plan's first instance, where there is such a program. */
  opinion?: SecondOpinion
}

/** Models that are to run at the same time. */
export interface PlansReport {
  /** Each has a place. */
  ok: boolean
  /** In the order in which they were named. */
  models: readonly (ModelReport & Turns)[]
  /** What was decided for all of them. */
  reasons: readonly string[]
  inventory: Inventory
}

export type ModelReport = PlanResult & {
  /** What was planned for. */
  subject: {
    name: string
    format: PlanModel['format']
    fileType: string
    parameterCount: number
    weightBytes: number
  }
  /** The processes of the best plan's instances, alike ones once; empty where nothing fits. */
  commands: readonly InstanceCommands[]
}

export interface InstanceCommands {
  /** The first of the instances that are started so, by its place in the plan, and how many more are alike. */
  instance: number
  count: number
  commands: readonly EngineCommand[]
}

/** Where the files of a model are, as far as they are anywhere. */
export interface ModelFiles
  extends Pick<SpecBase, 'modelPath' | 'projectorPaths' | 'adapterPaths' | 'metadataOverrides'> {
  draftPath?: string | undefined
}

export type CommandsOf = (engine: EngineName, spec: InstanceSpec) => readonly EngineCommand[] | undefined

/** How the instances are run, as far as neither the plan nor the model says it. */
export type RunParts = Partial<Pick<SpecBase, 'threads' | 'flashAttention' | 'batchSize' | 'port'>>

/** The specs of a plan's instances, in their order. */
export function specsOfPlan(
  { instances }: Plan,
  model: PlanModel,
  inventory: Inventory,
  { draftPath, ...files }: ModelFiles,
  run: RunParts = {},
): InstanceSpec[] {
  const base: SpecBase = {
    id: 'plan',
    modelName: model.name,
    ...files,
    embedding: model.embedding ?? false,
    flashAttention: 'auto',
    contextShift: true,
    stallTimeoutMs: Number.POSITIVE_INFINITY,
    ...run,
  }
  const places = draftPath === undefined ? {} : { draftPath }
  return instances.map((instance) => specOfPlan(instance, inventory, base, places))
}

/** A result with the command lines of its best plan, whose instances have the `specs`. */
export function reportOf(
  result: PlanResult,
  model: PlanModel,
  specs: readonly InstanceSpec[],
  commandsOf: CommandsOf,
): ModelReport {
  const { name, format, fileType, shape } = model
  const { parameterCount, weightBytes } = shape
  return {
    ...result,
    subject: { name, format, fileType, parameterCount, weightBytes },
    commands: result.ok ? commandsOfPlan(result.plans[0], specs, commandsOf) : [],
  }
}

function commandsOfPlan(
  { instances }: Plan,
  specs: readonly InstanceSpec[],
  commandsOf: CommandsOf,
): InstanceCommands[] {
  const groups: { key: string; entry: InstanceCommands }[] = []
  specs.forEach((spec, at) => {
    const engine = instances[at]?.engine
    const commands = engine && commandsOf(engine, spec)
    if (!commands) return
    const key = likenessOf(commands)
    const group = groups.find((one) => one.key === key)
    if (group) group.entry = { ...group.entry, count: group.entry.count + 1 }
    else groups.push({ key, entry: { instance: at, count: 1, commands } })
  })
  return groups.map(({ entry }) => entry)
}

/** The same for lines that differ in the numbers of their devices only. */
function likenessOf(commands: readonly EngineCommand[]): string {
  const lines = commands.map(({ argv, env }) => `${Object.keys(env).join(' ')} ${argv.join(' ')}`)
  return lines.join('\n').replace(/\b(CUDA|ROCm|SYCL|Vulkan|MTL)\d+/g, '$1')
}
