import { fitText, headOf, textWidth } from '../../core/index.ts'
import type { Inventory, Plan, PlanDevice, PlanInstance, PlanModel } from '../contract.ts'
import { type BarPart, barParts, cellsOf, looks, painted } from './bar.ts'
import { linkTexts } from './links.ts'
import { instanceLikeness, oneLine, type Row, rowsOf, shortId, shortName, unnumbered } from './rows.ts'

export interface PictureOptions {
  /** Columns of the terminal; 80 by default, and at least 60. */
  width?: number
  /** With ANSI colours. */
  color?: boolean
}

export interface Layout {
  width: number
  color: boolean
  label: number
  bar: number
  size: number
  holds: number
}

/** Instances that are alike. */
export interface Group {
  instances: PlanInstance[]
  rows: Row[]
}

export const leastWidth = 60
const mostLabel = 22
const mostHolds = 26
export const indent = 2

/**
 * A plan as text: a bar a device with weights, KV cache, buffers and what is free, the layers that it holds, host memory,
 * nodes and links. Alike instances and devices are drawn once, with their number. No line is wider than `width`. Ends
 * with a newline.
 */
export function drawPlan(
  plan: Plan,
  model: Pick<PlanModel, 'name' | 'fileType'>,
  inventory: Inventory,
  { width = 80, color = false }: PictureOptions = {},
): string {
  const groups = groupsOf(plan, inventory)
  const rows = groups.flatMap((group) => group.rows)
  const layout = layoutOf(rows, Math.max(leastWidth, width), color)
  const lines = [
    ...wrapped(titleOf(plan, model), layout.width),
    ...groups.flatMap((group) => ['', ...groupLines(group, groups.length > 1, layout, inventory)]),
    ...idleLines(plan.instances, inventory, layout.width),
    '',
    ...legendLines(
      rows.map(({ bytes }) => cellsOf(bytes, layout.bar)),
      layout,
    ),
  ]
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

/** Instances that look alike, as one. */
export function groupsOf(plan: Pick<Plan, 'instances'>, inventory: Inventory): Group[] {
  const groups = new Map<string, Group>()
  for (const instance of plan.instances) {
    const rows = rowsOf(instance, inventory)
    const key = instanceLikeness(rows, instance)
    const group = groups.get(key)
    if (group) group.instances.push(instance)
    else groups.set(key, { instances: [instance], rows })
  }
  return [...groups.values()].map(({ instances, rows }) => ({
    instances,
    // Of several copies each has devices of its own, which are listed beside their number.
    rows: instances.length > 1 ? rows.map(unnumbered) : rows,
  }))
}

/** `llama3.1:70b (Q4_K_M): pipeline over 2 devices by llama.cpp`. */
export function titleOf(
  { strategy, instances }: Plan,
  { name, fileType }: Pick<PlanModel, 'name' | 'fileType'>,
): string {
  const [first] = instances
  const engine = first ? ` by ${first.engine}` : ''
  const told = name.toLowerCase().includes(fileType.toLowerCase()) ? '' : ` (${fileType})`
  return `${oneLine(`${name}${told}`)}: ${strategyText(strategy, instances)}${engine}`
}

function strategyText(strategy: Plan['strategy'], instances: readonly PlanInstance[]): string {
  const parts = instances.flatMap((instance) => instance.parts)
  const devices = new Set(parts.filter(({ kind }) => kind === 'gpu').map(({ deviceId }) => deviceId)).size
  if (devices === 0) return instances.length > 1 ? `${instances.length} copies on CPUs` : 'on the CPU'
  const host = parts.some(({ kind }) => kind === 'cpu')
    ? ' and the CPU'
    : parts.some(({ hostExperts }) => hostExperts.length > 0)
      ? ', experts in host memory'
      : ''
  if (strategy === 'single') return `one device${host}`
  const over = `over ${devices} ${devices === 1 ? 'device' : 'devices'}${host}`
  if (strategy === 'data')
    return instances.length > 1 ? `${instances.length} copies, ${over}` : `one copy, ${over}`
  return instances.length > 1 ? `${strategy}, ${instances.length} copies, ${over}` : `${strategy} ${over}`
}

function groupLines(group: Group, several: boolean, layout: Layout, inventory: Inventory): string[] {
  const [instance] = group.instances
  if (!instance) return []
  const nodes = new Set(group.rows.map(({ node }) => node))
  let node = ''
  const rows = group.rows.flatMap((row) => {
    const heading = nodes.size > 1 && row.node !== node ? [fitText(oneLine(row.node), layout.width)] : []
    node = row.node
    return [...heading, rowLine(row, layout)]
  })
  const links = linkTexts(instance, inventory)
  return [
    ...copiesLines(group, several, layout.width, inventory),
    contextLine(instance),
    ...rows,
    ...(links.length > 0 ? wrapped(`${' '.repeat(indent)}links: ${links.join(', ')}`, layout.width) : []),
  ]
}

/** How many copies, and where each is; nothing of a single one. */
export function copiesLines(
  { instances }: Group,
  several: boolean,
  width: number,
  inventory: Inventory,
): string[] {
  if (instances.length === 1 && !several) return []
  const devices = new Map(inventory.devices.map((device) => [device.id, device]))
  const manyNodes = inventory.nodes.length > 1
  const places = instances.map(({ parts }) => parts.flatMap(({ deviceId }) => devices.get(deviceId) ?? []))
  const alone = places.length > 1 && places.every(({ length }) => length === 1)
  const texts = (alone ? [places.flat()] : places).map((place) => placeText(place, manyNodes))
  const on = texts.filter((text) => text !== '').join('; ')
  return wrapped(`x${instances.length}${on === '' ? '' : ` ${alone ? 'one on each of' : 'on'} ${on}`}`, width)
}

/** `CUDA0-7`, of several nodes `node1 CUDA0-7, node2 CUDA0-3`. */
function placeText(devices: readonly PlanDevice[], manyNodes: boolean): string {
  const byNode = Map.groupBy(devices, ({ node }) => node)
  return [...byNode]
    .map(([node, own]) => `${manyNodes ? `${oneLine(node)} ` : ''}${rangesOf(own.map(shortId))}`)
    .join(', ')
}

/** Names that are numbered on, as ranges. */
export function rangesOf(names: readonly string[]): string {
  const ranges: { stem: string; first: number; last: number; text: string }[] = []
  for (const name of names) {
    const [, stem = name, digits] = /^(.*?)(\d{1,6})$/.exec(name) ?? []
    const number = digits === undefined ? Number.NaN : Number(digits)
    const last = ranges.at(-1)
    if (last && last.stem === stem && number === last.last + 1) {
      last.last = number
      last.text = `${stem}${last.first}-${number}`
    } else ranges.push({ stem, first: number, last: number, text: name })
  }
  return ranges.map(({ text }) => text).join(', ')
}

/** `4 slots of 8192 tokens, KV cache f16`. */
export function contextLine({ contextLength, slots, kvCacheType }: PlanInstance): string {
  const count = slots === 1 ? '1 slot' : `${slots} slots`
  return `${count} of ${contextLength} tokens, KV cache ${kvCacheType}`
}

const gib = 2 ** 30

function rowLine(row: Row, layout: Layout): string {
  const cells = cellsOf(row.bytes, layout.bar)
  const bar = barParts.map((part) => painted(part, cells[part], layout.color)).join('')
  const [label, holds] = [fitText(row.label, layout.label), fitText(row.holds, layout.holds)]
  return `${' '.repeat(indent)}${label} ${bar} ${sizeText(row).padStart(layout.size)} ${holds}`
}

/** `23.6/24.0 GiB`. */
export function sizeText({ usedBytes, totalBytes }: Pick<Row, 'usedBytes' | 'totalBytes'>): string {
  return `${(usedBytes / gib).toFixed(1)}/${(totalBytes / gib).toFixed(totalBytes >= 1000 * gib ? 0 : 1)} GiB`
}

/** Names and layers take what they need, up to a limit; the bars have the rest. */
export function layoutOf(
  rows: readonly Pick<Row, 'label' | 'holds' | 'usedBytes' | 'totalBytes'>[],
  width: number,
  color: boolean,
): Layout {
  const widest = (texts: readonly string[], most: number) =>
    Math.min(most, Math.max(1, ...texts.map(textWidth)))
  const narrow = width - leastWidth
  const label = widest(
    rows.map((row) => row.label),
    Math.min(mostLabel, 16 + narrow),
  )
  const holds = widest(
    rows.map((row) => row.holds),
    Math.min(mostHolds, 12 + narrow),
  )
  const size = widest(rows.map(sizeText), width)
  return { width, color, label, holds, size, bar: Math.max(8, width - indent - label - holds - size - 3) }
}

/** Devices that none of the instances has a part on. */
export function idleLines(
  instances: readonly PlanInstance[],
  { devices }: Inventory,
  width: number,
): string[] {
  const used = new Set(instances.flatMap(({ parts }) => parts.map(({ deviceId }) => deviceId)))
  const idle = devices.filter(({ id }) => !used.has(id))
  if (idle.length === 0) return []
  const names = Map.groupBy(idle, ({ name }) => shortName(name))
  const texts = [...names].map(([name, alike]) => (alike.length > 1 ? `${alike.length} x ${name}` : name))
  return ['', ...wrapped(`not used: ${texts.join(', ')}`, width)]
}

/** What the stretches of bars mean that are to be seen. */
export function legendLines(
  bars: readonly Readonly<Record<BarPart, number>>[],
  { width, color }: Layout,
): string[] {
  const shown = barParts.filter((part) => bars.some((cells) => cells[part] > 0))
  const entries = shown.map((part) => ({ part, text: ` ${looks[part].meaning}` }))
  const lines: string[] = []
  let line = ''
  let taken = 0
  for (const { part, text } of entries) {
    const columns = 1 + textWidth(text)
    if (taken > 0 && taken + 3 + columns > width) {
      lines.push(line)
      line = ''
      taken = 0
    }
    line += `${taken > 0 ? '   ' : ''}${painted(part, 1, color)}${text}`
    taken += columns + (taken > 0 ? 3 : 0)
  }
  return [...lines, line]
}

/** A text in lines of at most `width` columns, broken at spaces, the second and later ones indented. */
export function wrapped(text: string, width: number): string[] {
  const margin = ' '.repeat((/^ */.exec(text)?.[0].length ?? 0) + indent)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/(?<= )/)) {
    if (line.trim() !== '' && textWidth(line + word.trimEnd()) > width) {
      lines.push(line)
      line = margin
    }
    line += word
    while (textWidth(line.trimEnd()) > width) {
      const head = headOf(line, width)
      lines.push(head)
      line = margin + line.slice(head.length)
    }
  }
  return [...lines, line].map((one) => one.trimEnd())
}
