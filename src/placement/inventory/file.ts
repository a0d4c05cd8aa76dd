import { LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { DroverError } from '../../inference/index.ts'
import type { Inventory, PlanLink } from '../contract.ts'
import { linkDefaults } from '../speed/index.ts'
import { findCard } from './cards.ts'
import { type ImaginedCards, type ImaginedNode, imagineInventory, lanLink, numbered } from './imagine.ts'
import { parseNetwork } from './network.ts'

const gib = 2 ** 30

const mostTextLength = 2 ** 20

const figure = z.number().positive()
const named = z.string().min(1)
const engines = ['llama.cpp', 'embedded', 'ollama', 'vllm', 'sglang', 'exllama', 'openai'] as const
const linkClasses = [
  'nvlink',
  'xgmi',
  'xelink',
  'same_board',
  'pix',
  'pxb',
  'phb',
  'node',
  'sys',
  'lan',
] as const

const cardsShape = z.strictObject({
  /** Unquoted, YAML reads `4090` as a number. */
  device: z.union([named, z.number()]).transform(String),
  count: z.int().positive().default(1),
  memoryGiB: figure.optional(),
  memoryGBs: figure.optional(),
  tflops: figure.optional(),
  watts: figure.optional(),
  vendor: z.enum(['nvidia', 'amd', 'intel', 'apple', 'other']).optional(),
  backend: z.enum(['cuda', 'rocm', 'sycl', 'vulkan', 'metal']).optional(),
  nvlink: z.boolean().optional(),
  numaNode: z.int().min(0).optional(),
  reserveGiB: z.number().min(0).optional(),
  labels: z.record(z.string(), z.string()).optional(),
})

const nodeShape = z.strictObject({
  name: named.optional(),
  count: z.int().positive().default(1),
  memoryGiB: figure.optional(),
  memoryGBs: figure.optional(),
  tflops: figure.optional(),
  engines: z.array(z.enum(engines)).min(1).optional(),
  rpc: z.boolean().optional(),
  numaNodes: z.int().positive().optional(),
  devices: z.array(cardsShape).default([]),
})

const linkShape = z.strictObject({
  between: z.tuple([named, named]),
  class: z.enum(linkClasses).optional(),
  network: named.optional(),
  gbPerSecond: figure.optional(),
  latencyUs: figure.optional(),
  peerAccess: z.boolean().optional(),
})

const inventoryShape = z.strictObject({
  nodes: z.array(nodeShape).min(1),
  network: named.optional(),
  links: z.array(linkShape).default([]),
})

type Cards = z.infer<typeof cardsShape>
type Node = z.infer<typeof nodeShape>
type LinkEntry = z.infer<typeof linkShape>

type Path = readonly (string | number)[]

/** Something wrong in a place of the content. */
class Misfit extends Error {
  readonly path: Path

  constructor(path: Path, message: string) {
    super(message)
    this.path = path
  }
}

/**
 * An inventory file, YAML or JSON: `nodes` with `devices`, `network`, `links`; `docs/plan.md` tells each field. Throws
 * `invalid_request` that names the line, the field, its value and what is allowed.
 */
export function parseInventory(text: string): Inventory {
  if (text.length > mostTextLength) throw refusal('it is larger than an inventory can be (1 MiB)')
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const lineAt = (offset: number) => `line ${lines.linePos(offset).line}: `
  const [broken] = document.errors
  if (broken) throw refusal(`${lineAt(broken.pos[0])}${broken.message}`)
  let content: unknown
  try {
    // Aliases that refer to aliases would fill the memory.
    content = document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    throw refusal(error instanceof Error ? error.message : String(error))
  }
  const lineOf = (path: Path) => {
    for (let length = path.length; length > 0; length--) {
      const offset = rangeOf(document.getIn(path.slice(0, length), true))
      if (offset !== undefined) return lineAt(offset)
    }
    return ''
  }
  return read(content, lineOf)
}

/** The same from its content, as a request's body has it. */
export function inventoryFrom(content: unknown): Inventory {
  return read(content, () => '')
}

function rangeOf(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node)) return undefined
  const { range } = node
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : undefined
}

function read(content: unknown, lineOf: (path: Path) => string): Inventory {
  const parsed = inventoryShape.safeParse(content)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const path = (issue?.path ?? []).filter((step): step is string | number => typeof step !== 'symbol')
    const what =
      issue?.code === 'unrecognized_keys'
        ? `there is no field "${issue.keys[0]}", but ${fieldsAt(path).join(', ')}`
        : `${issue?.message ?? 'no inventory'}${valueText(content, path)}`
    throw refusal(`${lineOf(path)}${fieldText(path)}${what}`)
  }
  try {
    return inventoryOfFile(parsed.data)
  } catch (error) {
    if (!(error instanceof Misfit)) throw error
    throw refusal(`${lineOf(error.path)}${fieldText(error.path)}${error.message}`)
  }
}

function fieldText(path: Path): string {
  return path.length === 0 ? '' : `"${path.join('.')}": `
}

/** What may stand in a place. */
function fieldsAt(path: Path): string[] {
  const shape = path.includes('devices')
    ? cardsShape
    : { nodes: nodeShape, links: linkShape }[String(path[0])]
  return Object.keys((shape ?? inventoryShape).shape)
}

const mostShownLength = 60

function valueText(content: unknown, path: Path): string {
  const value = path.reduce<unknown>(
    (part, step) => (typeof part === 'object' && part !== null ? Reflect.get(part, step) : undefined),
    content,
  )
  if (value === undefined) return ''
  const text = JSON.stringify(value)
  return `, not ${text.length > mostShownLength ? `${text.slice(0, mostShownLength)}…` : text}`
}

function refusal(message: string): DroverError {
  return new DroverError('invalid_request', `inventory: ${message}`)
}

function inventoryOfFile({ nodes, network, links }: z.infer<typeof inventoryShape>): Inventory {
  const imagined = nodes.flatMap((node, at) => nodesOf(node, at, nodes.length > 1))
  const seen = new Set<string>()
  for (const { id, at } of imagined.map((node) => ({ id: node.id, at: node.at }))) {
    if (seen.has(id)) throw new Misfit(['nodes', at, 'name'], `two nodes are named ${id}`)
    seen.add(id)
  }
  const joined = within(['network'], () => (network === undefined ? undefined : parseNetwork(network)))
  const inventory = within(['nodes'], () => imagineInventory(imagined, joined))
  const told = links.map((link, at) => linkOf(link, at, inventory))
  const key = ({ a, b }: PlanLink) => [a, b].toSorted().join(' ')
  const replaced = new Set(told.map(key))
  return { ...inventory, links: [...inventory.links.filter((link) => !replaced.has(key(link))), ...told] }
}

/** What a reader of names and figures throws, with the place that it was read from. */
function within<Result>(path: Path, make: () => Result): Result {
  try {
    return make()
  } catch (error) {
    throw error instanceof DroverError ? new Misfit(path, error.message) : error
  }
}

function nodesOf(node: Node, at: number, several: boolean): (ImaginedNode & { at: number })[] {
  const { count, devices, name, ...rest } = node
  const base = name ?? (several || count > 1 ? `node${at + 1}` : 'node1')
  const cards = devices.map((entry, index) => cardsOf(entry, ['nodes', at, 'devices', index]))
  return Array.from({ length: count }, (_, copy) => ({
    ...rest,
    at,
    id: count > 1 ? `${base}-${numbered(copy + 1, count, 1)}` : base,
    cards,
  }))
}

function cardsOf(entry: Cards, path: Path): ImaginedCards {
  const { device, count, memoryGiB, nvlink, reserveGiB, ...figures } = entry
  const whole = entry.memoryGBs !== undefined && entry.tflops !== undefined && memoryGiB !== undefined
  const spec =
    whole && entry.vendor !== undefined
      ? undefined
      : within([...path, 'device'], () => findCard(device, memoryGiB))
  if (nvlink && spec?.bridge?.name !== 'NVLink') {
    throw new Misfit([...path, 'nvlink'], `${spec?.card ?? device} has no NVLink`)
  }
  return {
    ...figures,
    ...(spec && { spec }),
    name: spec?.card ?? device,
    count,
    memoryBytes: (memoryGiB ?? spec?.vramGiB ?? 0) * gib,
    ...(nvlink !== undefined && { bridged: nvlink }),
    ...(reserveGiB !== undefined && { reserveBytes: reserveGiB * gib }),
  }
}

function linkOf(
  { between, network, ...told }: LinkEntry,
  at: number,
  { nodes, devices }: Inventory,
): PlanLink {
  const path: Path = ['links', at]
  const [a, b] = between
  const isNode = (id: string) => nodes.some((node) => node.id === id)
  const isDevice = (id: string) => devices.some((device) => device.id === id)
  const [wrong] = between.filter((id) => !isNode(id) && !isDevice(id))
  if (wrong !== undefined) {
    const some = [...nodes, ...devices].slice(0, 12).map(({ id }) => id)
    throw new Misfit([...path, 'between'], `there is no "${wrong}", but ${some.join(', ')}`)
  }
  if (a === b || isNode(a) !== isNode(b)) {
    throw new Misfit([...path, 'between'], `a link joins two nodes or two devices, not "${a}" and "${b}"`)
  }
  const lan = network === undefined ? undefined : within([...path, 'network'], () => parseNetwork(network))
  const linkClass = told.class ?? (isNode(a) ? 'lan' : 'phb')
  const bytesPerS = told.gbPerSecond !== undefined ? told.gbPerSecond * 1e9 : lan?.bytesPerS
  if (bytesPerS === undefined) {
    throw new Misfit(path, 'how fast it is has to be told, by "gbPerSecond" or "network"')
  }
  const latencyS =
    told.latencyUs !== undefined ? told.latencyUs * 1e-6 : (lan?.latencyS ?? linkDefaults[linkClass].latencyS)
  const link = lanLink(a, b, { bytesPerS, latencyS })
  return { ...link, class: linkClass, ...(told.peerAccess !== undefined && { peerAccess: told.peerAccess }) }
}
