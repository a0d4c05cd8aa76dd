import type { Inventory, PlanModel, PlanResult, PlanWishes, Rejected } from '../contract.ts'
import type { Search } from './candidate.ts'
import { enginesOf } from './engine-rules.ts'
import { leastBytes } from './limits.ts'
import { unknownNames } from './survey.ts'
import { gibibytes } from './texts.ts'

type Refusal = Extract<PlanResult, { ok: false }>
/** Whether there is any plan under other wishes, for the suggestions. */
export type Fits = (model: PlanModel, wishes: PlanWishes) => boolean

/** The usual smaller files of a model, with the bits that a weight takes in them on average. */
const smallerFiles = [
  { fileType: 'Q8_0', bits: 8.5 },
  { fileType: 'Q6_K', bits: 6.6 },
  { fileType: 'Q5_K_M', bits: 5.7 },
  { fileType: 'Q4_K_M', bits: 4.85 },
  { fileType: 'IQ4_XS', bits: 4.3 },
  { fileType: 'Q3_K_M', bits: 3.9 },
  { fileType: 'Q2_K', bits: 3.2 },
] as const
const leastContext = 256
const mostNames = 8

/** Says that nothing fits, and what would. */
export function refuse(search: Search, rejected: readonly Rejected[], fits: Fits): Refusal {
  const { world } = search
  const run = search.runs.levels.at(-1)
  const host = run ? search.runs.costs(run).host.totalBytes : 0
  const neededBytes = Math.ceil(leastBytes(search) + host)
  const { deviceBytes, hostBytes } = memoryOf(world.inventory)
  const suggestions = suggest(search, fits)
  const message = `${reasonOf(search, neededBytes, deviceBytes, hostBytes)}; ${suggestions.join(', or ')}`
  return {
    ok: false,
    message,
    neededBytes,
    usableBytes: deviceBytes + hostBytes,
    suggestions,
    rejected: [...rejected],
  }
}

/** Memory that is both a device's and the host's is counted once. */
function memoryOf({ devices, nodes }: Inventory): { deviceBytes: number; hostBytes: number } {
  const shared = new Set(devices.filter(({ unifiedMemory }) => unifiedMemory).map(({ node }) => node))
  return {
    deviceBytes: devices.reduce((sum, { usableBytes }) => sum + usableBytes, 0),
    hostBytes: nodes.reduce((sum, { id, usableBytes }) => sum + (shared.has(id) ? 0 : usableBytes), 0),
  }
}

function reasonOf(search: Search, neededBytes: number, deviceBytes: number, hostBytes: number): string {
  const { model, world, wishes } = search
  const subject = `model "${model.name}"`
  if (world.nodes.length === 0) return `${subject} cannot be planned: no node is left to take`
  if (world.nodes.every(({ node }) => enginesOf(model, node, wishes).length === 0)) {
    return `${subject} cannot be planned: no node has an engine for ${model.format} files`
  }
  const unknown = wishes.pins === undefined ? [] : unknownNames(world.all, wishes.pins)
  if (unknown.length > 0 && world.inventory.devices.length === 0) {
    return `${subject} cannot be planned: nothing is called ${unknown.join(', ')}, where it is to lie (there are ${namesOf(world.all)})`
  }
  const need = `${subject} needs ${gibibytes(neededBytes)} and buffers`
  const room = `${gibibytes(deviceBytes)} on devices and ${gibibytes(hostBytes)} of host memory are available`
  return neededBytes > deviceBytes + hostBytes
    ? `${need}, but only ${room}`
    : `${need}: ${room}, but no allowed division of it fits`
}

/** Devices, or nodes where there are none, by the names that wishes may call them. */
function namesOf({ devices, nodes }: Inventory): string {
  const names = (devices.length > 0 ? devices : nodes).map(({ id }) => id)
  const more = names.length - mostNames
  return `${names.slice(0, mostNames).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

/** What would make a plan possible: first what costs least. */
function suggest(search: Search, fits: Fits): string[] {
  const { model, wishes } = search
  const suggestions: string[] = []
  const tryWith = (changed: PlanWishes, text: string) => {
    if (fits(model, { ...wishes, ...changed })) suggestions.push(text)
  }
  const context = longestContext(search, fits)
  if (context !== undefined) suggestions.push(`a context of ${context} tokens (num_ctx) would fit`)
  if ((wishes.slots ?? 1) > 1)
    tryWith({ slots: 1 }, 'one request at a time (OLLAMA_NUM_PARALLEL=1) would fit')
  if ((wishes.kvCacheType ?? 'f16') === 'f16' && wishes.flashAttention !== 'off') {
    tryWith({ kvCacheType: 'q8_0' }, 'a smaller KV cache (OLLAMA_KV_CACHE_TYPE=q8_0) would fit')
  }
  if (wishes.cpuOffload === false)
    tryWith({ cpuOffload: true }, 'layers on the CPU would fit, where these are allowed')
  if (wishes.expertOffload === false)
    tryWith({ expertOffload: true }, 'experts in host memory would fit, where these are allowed')
  if (wishes.acrossNodes === false)
    tryWith({ acrossNodes: true }, 'several nodes together would hold it, where this is allowed')
  if (wishes.crossVendor === false)
    tryWith({ crossVendor: true }, 'devices of several vendors together would hold it, where this is allowed')
  if (wishes.strategy !== undefined) suggestStrategy(search, fits, suggestions)
  else suggestSizes(search, fits, suggestions)
  if (wishes.engines !== undefined && fits(model, dropped(wishes, 'engines')))
    suggestions.push(`another engine than ${wishes.engines.join(' or ')} would run it`)
  if (wishes.maxWatts !== undefined && fits(model, dropped(wishes, 'maxWatts'))) {
    suggestions.push(`more than ${wishes.maxWatts} W would do`)
  }
  if (wishes.pins !== undefined && fits(model, dropped(wishes, 'pins')))
    suggestions.push('other devices than the pinned ones would hold it')
  smaller(search, fits, suggestions)
  if (suggestions.length === 0) suggestions.push('take a smaller model, or add memory')
  return suggestions
}

function suggestStrategy({ model, wishes }: Search, fits: Fits, suggestions: string[]): void {
  const open = dropped(dropped(dropped(wishes, 'strategy'), 'tensorSize'), 'pipelineSize')
  if (fits(model, open)) suggestions.push(`another strategy than ${wishes.strategy} would fit`)
}

function suggestSizes({ model, wishes }: Search, fits: Fits, suggestions: string[]): void {
  for (const [key, what] of [
    ['tensorSize', 'devices to a layer'],
    ['pipelineSize', 'stages'],
  ] as const) {
    if (wishes[key] !== undefined && fits(model, dropped(wishes, key)))
      suggestions.push(`another number of ${what} than ${wishes[key]} would fit`)
  }
}

function dropped(wishes: PlanWishes, key: keyof PlanWishes): PlanWishes {
  const rest = { ...wishes }
  delete rest[key]
  return rest
}

/** Of an asked-for context, the longest of its halves that fits. */
function longestContext({ model, runs, wishes }: Search, fits: Fits): number | undefined {
  const asked = runs.levels.at(-1)?.contextLength ?? 0
  for (let context = Math.floor(asked / 2); context >= leastContext; context = Math.floor(context / 2)) {
    if (fits(model, { ...wishes, contextLength: context })) return context
  }
  return undefined
}

/** The finest of the smaller files that fits. */
function smaller({ model, wishes }: Search, fits: Fits, suggestions: string[]): void {
  if (model.format !== 'gguf') return
  for (const { fileType, bits } of smallerFiles) {
    const bytes = Math.ceil((model.shape.parameterCount * bits) / 8)
    if (bytes >= model.shape.weightBytes || !fits(shrunk(model, bytes), wishes)) continue
    suggestions.push(`the model as ${fileType} (about ${gibibytes(bytes)} of weights) would fit`)
    return
  }
}

function shrunk(model: PlanModel, weightBytes: number): PlanModel {
  const { shape } = model
  const scaled = (bytes: number) => Math.ceil(bytes * (weightBytes / shape.weightBytes))
  const layers = shape.layers?.map((layer) => ({
    ...layer,
    bytes: scaled(layer.bytes),
    expertBytes: scaled(layer.expertBytes),
  }))
  const less = {
    ...shape,
    weightBytes,
    layerBytes: shape.layerBytes.map(scaled),
    inputBytes: scaled(shape.inputBytes),
    outputBytes: scaled(shape.outputBytes),
    ...(layers && { layers }),
  }
  return { ...model, shape: less }
}
