import { z } from 'zod'
import { parseSizeBytes } from '../config/index.ts'
import { DroverError } from '../inference/index.ts'
import type { Inventory, PlanWishes } from './contract.ts'
import { inventoryFrom, parseGpuList } from './inventory/index.ts'

const whole = z.int().positive()
const names = z.array(z.string().min(1)).min(1)

const size = z
  .union([z.string(), z.number().min(0)])
  .transform((value) => (typeof value === 'number' ? value : parseSizeBytes(value)))
  .refine((bytes) => bytes !== undefined, { message: 'it is no size such as 1GiB or 500MB' })

const strategies = ['single', 'data', 'tensor', 'pipeline', 'hybrid'] as const
const cacheTypes = ['f32', 'f16', 'bf16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0', 'iq4_nl'] as const
const engines = ['llama.cpp', 'embedded', 'ollama', 'vllm', 'sglang', 'exllama', 'openai'] as const

const name = z.string().min(1)

const wishFields = {
  strategy: z.enum(strategies).optional(),
  context_length: whole.optional().describe('tokens of a slot'),
  slots: whole.optional(),
  kv_cache_type: z
    .enum([...cacheTypes, 'auto'])
    .optional()
    .describe('`auto`: the planner chooses'),
  batch_size: whole.optional(),
  flash_attention: z.enum(['auto', 'on', 'off']).optional(),
  replicas: whole.optional(),
  tensor_size: whole.optional().describe('devices that share each layer'),
  pipeline_size: whole.optional().describe('stages'),
  pin: names.optional().describe('the only devices, nodes or labels to take'),
  avoid: names.optional(),
  prefer: names.optional(),
  shun: names.optional(),
  reserve: size.optional().describe('kept free on each device: `1GiB`'),
  max_watts: z.number().positive().optional(),
  cross_vendor: z.boolean().optional(),
  cpu_offload: z.boolean().optional(),
  expert_offload: z.boolean().optional(),
  across_nodes: z.boolean().optional(),
  engines: z.array(z.enum(engines)).min(1).optional(),
  algorithm: z.enum(['memory_only', 'performance_aware', 'power_aware']).optional(),
  objective: z.enum(['latency', 'throughput']).optional(),
}

const oneOfSeveral = z.strictObject({
  model: name,
  priority: z.int().optional().describe('the highest is placed first; 0 by default'),
  ...wishFields,
})

const requestShape = z.strictObject({
  model: name.describe('a model of the store, or a well-known one').optional(),
  models: z
    .array(z.union([name, oneOfSeveral]))
    .min(1)
    .max(16)
    .describe(
      'in place of `model`: several that are to run at the same time, by name, or with wishes of their own',
    )
    .optional(),
  gpus: z.string().optional().describe('machines to plan for: `2x4090,cpu:64 / 8x3090 @10gbe`'),
  inventory: z.unknown().optional().describe('machines to plan for, as an inventory file has them'),
  ...wishFields,
})

/** What a plan may be asked with, key by key as `POST /api/plan` takes it. */
export type PlanRequestBody = z.input<typeof requestShape>

export interface PlanQuery {
  model: string
  models?: undefined
  /** Absent: this machine's. */
  inventory?: Inventory
  wishes: PlanWishes
}

/** The same of several models that are to run at the same time; their names differ. */
export interface PlansQuery extends Omit<PlanQuery, 'model' | 'models'> {
  model?: undefined
  models: readonly [PlannedModel, ...PlannedModel[]]
}

/** One of several models. */
export interface PlannedModel {
  model: string
  /** Its own, which come before those of all. */
  wishes: PlanWishes
  /** The highest is placed first; 0 by default. */
  priority?: number
}

/** JSON Schema of the body. */
export const planRequestSchema: Record<string, unknown> = z.toJSONSchema(requestShape, {
  io: 'input',
  unrepresentable: 'any',
})

/** Reads a request. Throws `invalid_request` that names the field, its value and what is allowed. */
export function readPlanRequest(content: unknown): PlanQuery | PlansQuery {
  const parsed = requestShape.safeParse(content)
  if (!parsed.success)
    throw new DroverError('invalid_request', refusal(parsed.error.issues[0], content, requestShape))
  const { model, models, gpus, inventory, ...asked } = parsed.data
  if (gpus !== undefined && inventory !== undefined) {
    throw new DroverError(
      'invalid_request',
      '"gpus" and "inventory" are two ways to say the same: give one of them',
    )
  }
  const machines =
    gpus !== undefined ? parseGpuList(gpus) : inventory === undefined ? undefined : inventoryFrom(inventory)
  return {
    ...subjectsOf(model, models),
    ...(machines && { inventory: machines }),
    wishes: wishesOf(asked),
  }
}

type Named = string | z.output<typeof oneOfSeveral>

function subjectsOf(model: string | undefined, models: readonly Named[] | undefined) {
  if (model !== undefined && models !== undefined) {
    throw new DroverError(
      'invalid_request',
      '"model" and "models" are two ways to say what: give one of them',
    )
  }
  if (model !== undefined) return { model }
  const [first, ...more] = (models ?? []).map(plannedModel)
  if (first === undefined) throw new DroverError('invalid_request', 'model is required, or models')
  const known = [first, ...more].map((one) => one.model)
  const twice = known.find((one, at) => known.indexOf(one) < at)
  if (twice !== undefined) {
    throw new DroverError(
      'invalid_request',
      `"models" has ${JSON.stringify(twice)} twice: "replicas" says how many copies of each are to run`,
    )
  }
  return { models: [first, ...more] as const }
}

function plannedModel(named: Named): PlannedModel {
  if (typeof named === 'string') return { model: named, wishes: {} }
  const { model, priority, ...asked } = named
  return { model, wishes: wishesOf(asked), ...(priority !== undefined && { priority }) }
}

type Shape = typeof requestShape | typeof oneOfSeveral

function refusal(issue: z.core.$ZodIssue | undefined, content: unknown, shape: Shape): string {
  const [key, at] = issue?.path ?? []
  const value = key === undefined ? content : fieldOf(content, key)
  const one = key === 'models' && typeof at === 'number' ? fieldOf(value, at) : undefined
  const [own] = typeof one === 'object' ? (oneOfSeveral.safeParse(one).error?.issues ?? []) : []
  if (own) return `models[${String(at)}]: ${refusal(own, one, oneOfSeveral)}`
  if (issue?.code === 'unrecognized_keys') {
    return `there is no field "${issue.keys[0]}", but ${Object.keys(shape.shape).join(', ')}`
  }
  if (key === undefined) return 'a plan is asked for by an object with "model"'
  if (value === undefined || (key === 'model' && value === '')) return `${String(key)} is required`
  return `"${String(key)}": ${issue?.message}, not ${JSON.stringify(value)}`
}

function fieldOf(content: unknown, key: PropertyKey): unknown {
  return typeof content === 'object' && content !== null ? Reflect.get(content, key) : undefined
}

type Asked = Omit<z.output<typeof oneOfSeveral>, 'model' | 'priority'>

function wishesOf(asked: Asked): PlanWishes {
  const wishes: { [Key in keyof PlanWishes]: PlanWishes[Key] | undefined } = {
    strategy: asked.strategy,
    contextLength: asked.context_length,
    slots: asked.slots,
    kvCacheType: asked.kv_cache_type,
    batchSize: asked.batch_size,
    flashAttention: asked.flash_attention,
    replicas: asked.replicas,
    tensorSize: asked.tensor_size,
    pipelineSize: asked.pipeline_size,
    pins: asked.pin,
    avoid: asked.avoid,
    prefer: asked.prefer,
    shun: asked.shun,
    reserveBytes: asked.reserve,
    maxWatts: asked.max_watts,
    crossVendor: asked.cross_vendor,
    cpuOffload: asked.cpu_offload,
    expertOffload: asked.expert_offload,
    acrossNodes: asked.across_nodes,
    engines: asked.engines,
    algorithm: asked.algorithm,
    objective: asked.objective,
  }
  return Object.fromEntries(Object.entries(wishes).filter(([, value]) => value !== undefined))
}

/** The same from a query, where all is text: lists by comma, numbers and booleans as they are written. */
export function planRequestFromQuery(query: Readonly<Record<string, string>>): PlanQuery | PlansQuery {
  return readPlanRequest(
    Object.fromEntries(Object.entries(query).map(([key, text]) => [key, queryValue(key, text)])),
  )
}

const listed: readonly string[] = ['models', 'pin', 'avoid', 'prefer', 'shun', 'engines']
const written: readonly string[] = ['model', 'gpus', 'reserve']

/** The value of a field as it is written in a query. */
export function queryValue(key: string, text: string): unknown {
  if (listed.includes(key)) return text.split(',').map((part) => part.trim())
  if (written.includes(key)) return text
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text)
  return text === 'true' || text === 'false' ? text === 'true' : text
}

const gib = 2 ** 30

/** Context of machines that nobody told it of: Ollama's rule, by the memory of all devices together. */
export function usualContextLength({ devices }: Inventory): number {
  const bytes = devices.reduce((sum, { totalBytes }) => sum + totalBytes, 0)
  if (bytes >= 47 * gib) return 262_144
  return bytes >= 23 * gib ? 32_768 : 4096
}
