import { parse as parseYaml, YAMLParseError } from 'yaml'
import { z } from 'zod'
import { parseCpuList } from '../core/index.ts'
import { parseSizeBytes } from './sizes.ts'

/** Which devices an entry is about. */
export type DeviceSelector =
  /** The CPU: some of its cores, or all of them as one device. */
  | { kind: 'cpu'; cores?: number[] }
  /** One CPU device for each NUMA node. */
  | { kind: 'numa' }
  /** Every GPU. */
  | { kind: 'gpus' }
  /** One GPU: its UUID, PCI address, id, or number. */
  | { kind: 'gpu'; name: string }

/** What is set for one device. */
export interface DeviceSettings {
  /** Memory that is left to others, in bytes. */
  reserveBytes?: number
  /** Memory that models may take of it. */
  memoryLimitBytes?: number
  /** The only models that may run on it. */
  models?: string[]
  /** Most instances at once. */
  instances?: number
  /** Most requests at once, over all its instances. */
  maxConcurrentRequests?: number
  /** Where its engine listens on 127.0.0.1. */
  port?: number
  /** It is not used. */
  exclude?: boolean
  /** Its share of requests under `weighted_round_robin`, 1 for the ordinary. */
  weight?: number
  /** What it draws at work, where the operator knows better than the table. */
  watts?: number
  /** Of a million tokens, in the operator's own unit. */
  cost?: number
  /** By which requests can ask for it. */
  labels?: Record<string, string>
  /** The only tenants whose requests it takes. */
  tenants?: string[]
}

export interface DeviceEntry {
  selector: DeviceSelector
  settings: DeviceSettings
}

/** `cpu`, `cpu:0-3`, `cpu:0+2` (`+` where a comma would begin the next device), `numa`, `gpus`, else a GPU's name. */
export function parseDeviceSelector(text: string): DeviceSelector | undefined {
  const name = text.trim()
  if (name === '') return undefined
  if (/^cpu$/i.test(name)) return { kind: 'cpu' }
  if (/^numa$/i.test(name)) return { kind: 'numa' }
  if (/^(gpus?|all)$/i.test(name)) return { kind: 'gpus' }
  const [, list] = /^cpu:(.*)$/i.exec(name) ?? []
  if (list === undefined) return { kind: 'gpu', name }
  const cores = parseCpuList(list.replaceAll('+', ','))
  return cores && { kind: 'cpu', cores }
}

const count = z.coerce.number().int().min(1)
const bytes = z
  .union([z.string(), z.number()])
  .transform((value) => parseSizeBytes(String(value).trim()))
  .pipe(z.number().int().min(0))
const text = z.union([z.string(), z.number()]).transform(String)

/** The settings of a device as they are written in the file. */
const settingsFields = {
  reserve: bytes.optional(),
  memory_limit: bytes.optional(),
  models: z.array(z.string().min(1)).optional(),
  instances: count.optional(),
  max_concurrent_requests: count.optional(),
  port: count.max(65_535).optional(),
  exclude: z.boolean().optional(),
  weight: z.number().positive().optional(),
  watts: z.number().positive().optional(),
  cost: z.number().min(0).optional(),
  labels: z.record(z.string(), text).optional(),
  tenants: z.array(text).optional(),
}
const settingsSchema = z.strictObject(settingsFields)

function settingsOf(written: z.output<typeof settingsSchema>): DeviceSettings {
  return {
    ...(written.reserve !== undefined && { reserveBytes: written.reserve }),
    ...(written.memory_limit !== undefined && { memoryLimitBytes: written.memory_limit }),
    ...(written.models && { models: written.models }),
    ...(written.instances !== undefined && { instances: written.instances }),
    ...(written.max_concurrent_requests !== undefined && {
      maxConcurrentRequests: written.max_concurrent_requests,
    }),
    ...(written.port !== undefined && { port: written.port }),
    ...(written.exclude !== undefined && { exclude: written.exclude }),
    ...(written.weight !== undefined && { weight: written.weight }),
    ...(written.watts !== undefined && { watts: written.watts }),
    ...(written.cost !== undefined && { cost: written.cost }),
    ...(written.labels && { labels: written.labels }),
    ...(written.tenants && { tenants: written.tenants }),
  }
}

const bySelector = z.string().transform((written, context): DeviceEntry => {
  const selector = parseDeviceSelector(written)
  if (selector) return { selector, settings: {} }
  context.addIssue({ code: 'custom', message: `${written} names no device` })
  return z.NEVER
})

const byFields = z
  .strictObject({ ...settingsFields, cpu: text.optional(), gpu: text.optional() })
  .transform(({ cpu, gpu, ...rest }, context): DeviceEntry => {
    const names = [...(cpu === undefined ? [] : [`cpu:${cpu}`]), ...(gpu === undefined ? [] : [gpu])]
    const selector = names.length === 1 && names[0] !== undefined ? parseDeviceSelector(names[0]) : undefined
    if (selector) return { selector, settings: settingsOf(rest) }
    context.addIssue({ code: 'custom', message: 'a device is given by cpu or gpu' })
    return z.NEVER
  })

/** `auto`, or the list of devices that are used: as text with commas, or as a list of names and mappings. */
export const deviceList = z.union([
  z.literal('auto').transform(() => undefined),
  z
    .string()
    .transform((written) => written.split(','))
    .pipe(z.array(bySelector).min(1)),
  z.array(z.union([bySelector, byFields])).min(1),
])

/** In a variable or a flag the value stands as YAML, which JSON is too. */
function fromText(written: unknown): unknown {
  if (typeof written !== 'string') return written
  try {
    return parseYaml(written)
  } catch (error) {
    if (error instanceof YAMLParseError) return undefined
    throw error
  }
}

/** Settings by device: a mapping from a device's name, or a list of mappings that name theirs. */
export const deviceSettings = z.preprocess(
  fromText,
  z.union([
    z.record(z.string(), settingsSchema).transform((written, context): DeviceEntry[] =>
      Object.entries(written).flatMap(([name, fields]) => {
        const selector = parseDeviceSelector(name)
        if (selector) return [{ selector, settings: settingsOf(fields) }]
        context.addIssue({ code: 'custom', message: `${name} names no device` })
        return []
      }),
    ),
    z.array(byFields),
  ]),
)

/** Devices by model: `{"llama3.2": ["GPU-…", "1"]}`. */
export const modelPins = z.preprocess(
  fromText,
  z.record(
    z.string().min(1),
    z.union([
      z
        .string()
        .transform((written) => written.split(','))
        .pipe(z.array(bySelector).min(1)),
      z.array(z.union([bySelector, byFields])).min(1),
    ]),
  ),
)
