import { readFileSync } from 'node:fs'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { specTable } from '../hardware/index.ts'
import { type EngineModel, type EngineSetup, engineModelOf } from './engine/index.ts'

/** A modelled instance and what routing is told of it. */
export interface ClusterInstance {
  /** Alike ones bear the same name. */
  kind: string
  /** The trace's model that it serves; absent: all. */
  serves?: string
  engine: EngineModel
  modelBytes?: number
  memoryBytesPerS?: number
  flopsPerS?: number
  watts?: number
  weight: number
}

export interface Failure {
  /** Its place among the instances, from 0. */
  instance: number
  atMs: number
}

export interface Cluster {
  instances: readonly ClusterInstance[]
  /** Instances that die at known times, and come back after their `loadMs`. */
  failures: readonly Failure[]
  /** Besides, every instance dies at random, on average so long after it came up; 0: none does. */
  meanMsBetweenFailures: number
}

const figure = z.number().positive()

const modelShape = z.strictObject({
  params: figure.describe('parameters'),
  activeParams: figure.optional().describe('of a mixture of experts: those that take part in one token'),
  bitsPerWeight: figure.default(16),
  kvBytesPerToken: figure.describe('bytes of KV cache a token'),
})

const engineShape = z.strictObject({
  prefillTokensPerS: figure,
  decodeBaseMs: figure,
  decodePerRequestMs: z.number().min(0).default(0),
  decodePerKvTokenMs: z.number().min(0).default(0),
  kvTokens: figure,
  chunkTokens: figure.default(2048),
  slots: z.int().positive().default(128),
  blockTokens: z.int().positive().default(16),
  loadMs: z.number().min(0).default(10_000),
})

const groupShape = z
  .strictObject({
    count: z.int().positive().max(10_000).default(1),
    name: z.string().optional(),
    device: z.string().optional(),
    memoryGBs: figure.optional(),
    tflops: figure.optional(),
    memoryGiB: figure.optional(),
    model: modelShape.optional(),
    engine: engineShape.optional(),
    chunkTokens: figure.optional(),
    slots: z.int().positive().optional(),
    kvTokens: figure.optional(),
    loadMs: z.number().min(0).optional(),
    speed: figure.default(1),
    watts: figure.optional(),
    weight: figure.default(1),
    serves: z.string().optional(),
  })
  .refine((group) => (group.engine === undefined) !== (group.model === undefined), {
    message: 'give "engine" (measured figures) or "model" with a "device" (worked out by the roofline)',
  })

const clusterShape = z.strictObject({
  groups: z.array(groupShape).min(1),
  failures: z.array(z.strictObject({ instance: z.int().min(0), atS: z.number().min(0) })).default([]),
  mtbfS: figure.optional(),
})

type Group = z.infer<typeof groupShape>

/**
 * Reads a cluster from YAML or JSON: `groups` of alike instances, `failures` at known times, `mtbfS` for those at
 * random. `docs/simulator.md` tells each field.
 *
 * @throws Error that names the file and the field.
 */
export function readCluster(path: string): Cluster {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`${path} cannot be read: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
  try {
    return clusterOf(parseYaml(text))
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
}

/** A cluster from the content of its file. */
export function clusterOf(content: unknown): Cluster {
  const parsed = clusterShape.safeParse(content)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const field = issue?.path.map(String).join('.')
    throw new Error(`${field ? `"${field}": ` : ''}${issue?.message ?? 'it is not a cluster'}`)
  }
  const { groups, failures, mtbfS } = parsed.data
  const instances = groups.flatMap((group, index) => {
    const one = instanceOf(group, index)
    return Array.from({ length: group.count }, () => one)
  })
  const lost = failures.find(({ instance }) => instance >= instances.length)
  if (lost)
    throw new Error(`"failures": there is no instance ${lost.instance}, only 0 to ${instances.length - 1}`)
  return {
    instances,
    failures: failures.map(({ instance, atS }) => ({ instance, atMs: atS * 1000 })),
    meanMsBetweenFailures: (mtbfS ?? 0) * 1000,
  }
}

function instanceOf(group: Group, index: number): ClusterInstance {
  const { speed, weight, engine, model } = group
  const { watts = group.watts, ...device } = deviceOf(group)
  const common = {
    kind: group.name ?? group.device ?? `group ${index}`,
    weight,
    ...(group.serves !== undefined && { serves: group.serves }),
    ...(watts !== undefined && { watts }),
  }
  const setup = setupOf(group)
  if (engine) return { ...common, engine: atSpeed({ ...engine, ...setup }, speed) }
  if (!model) throw new Error(`"groups.${index}": there is neither "engine" nor "model"`)
  const { memoryBytesPerS, flopsPerS, memoryBytes } = device
  if (!memoryBytesPerS || !flopsPerS || !memoryBytes) {
    throw new Error(`"groups.${index}": name a "device", or give "memoryGBs", "tflops" and "memoryGiB"`)
  }
  const weightBytes = (model.params * model.bitsPerWeight) / 8
  const activeParams = model.activeParams ?? model.params
  const modelled = engineModelOf(
    { memoryBytesPerS, flopsPerS, memoryBytes },
    {
      activeParams,
      weightBytes,
      activeWeightBytes: (weightBytes * activeParams) / model.params,
      kvBytesPerToken: model.kvBytesPerToken,
    },
    setup,
  )
  return {
    ...common,
    engine: atSpeed(modelled, speed),
    modelBytes: weightBytes,
    memoryBytesPerS: memoryBytesPerS * speed,
    flopsPerS: flopsPerS * speed,
  }
}

function setupOf({ chunkTokens, slots, kvTokens, loadMs }: Group): EngineSetup {
  return {
    ...(chunkTokens !== undefined && { chunkTokens }),
    ...(slots !== undefined && { slots }),
    ...(kvTokens !== undefined && { kvTokens }),
    ...(loadMs !== undefined && { loadMs }),
  }
}

function deviceOf(group: Group) {
  const spec = group.device === undefined ? undefined : specNamed(group.device)
  const tflops = group.tflops ?? spec?.tflops.bf16 ?? spec?.tflops.fp16 ?? spec?.tflops.fp32
  const memoryGBs = group.memoryGBs ?? spec?.bandwidthGBs
  const memoryGiB = group.memoryGiB ?? spec?.vramGiB
  return {
    ...(memoryGBs && { memoryBytesPerS: memoryGBs * 1e9 }),
    ...(tflops && { flopsPerS: tflops * 1e12 }),
    ...(memoryGiB && { memoryBytes: memoryGiB * 2 ** 30 }),
    ...(spec?.tdpWatts !== undefined && { watts: spec.tdpWatts }),
  }
}

/** By its name in the table or as drivers tell it; a part of a name will do where it is in one card's only. */
function specNamed(name: string) {
  const wanted = name.toLowerCase()
  const namesOf = (spec: (typeof specTable)[number]) =>
    [spec.card, ...spec.names].map((one) => one.toLowerCase())
  const exact = specTable.find((spec) => namesOf(spec).includes(wanted))
  if (exact) return exact
  const like = specTable.filter((spec) => namesOf(spec).some((one) => one.includes(wanted)))
  if (like.length === 1) return like[0]
  const hint =
    like.length > 1
      ? `it may be ${like
          .slice(0, 6)
          .map(({ card }) => card)
          .join(', ')}`
      : 'it is not in the table of cards'
  throw new Error(`"device": "${name}": ${hint}; or give "memoryGBs", "tflops" and "memoryGiB" in its place`)
}

/** A device of half the speed takes twice the time for everything that it computes or reads. */
function atSpeed(engine: EngineModel, speed: number): EngineModel {
  return {
    ...engine,
    prefillTokensPerS: engine.prefillTokensPerS * speed,
    decodeBaseMs: engine.decodeBaseMs / speed,
    decodePerRequestMs: engine.decodePerRequestMs / speed,
    decodePerKvTokenMs: engine.decodePerKvTokenMs / speed,
  }
}
