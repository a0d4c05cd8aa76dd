import { fitText } from '../../core/index.ts'
import type { Inventory, Plan, PlanInstance, PlanModel } from '../contract.ts'
import { type BarPart, divideCells, painted } from './bar.ts'
import {
  contextLine,
  copiesLines,
  groupsOf,
  idleLines,
  indent,
  type Layout,
  layoutOf,
  leastWidth,
  legendLines,
  type PictureOptions,
  rangesOf,
  sizeText,
  titleOf,
  wrapped,
} from './draw.ts'
import { linkTexts } from './links.ts'
import { nameOf, oneLine, type Row, rowsOf } from './rows.ts'

/** A model of several that run at the same time. */
export interface DrawnModel {
  model: Pick<PlanModel, 'name' | 'fileType'>
  plan: Plan
}

/** What a model takes of a device, or of a node's host memory. */
interface Share {
  letter: string
  /** By `heldParts`. */
  bytes: readonly number[]
  usedBytes: number
}

/** A bar with parts of several models. */
interface SharedRow extends Omit<Row, 'bytes'> {
  shares: readonly Share[]
  freeBytes: number
  keptBytes: number
}

/** A node, or several that look alike. */
interface NodeRows {
  names: string[]
  rows: SharedRow[]
}

const heldParts = ['weights', 'extras', 'kvCache', 'buffers'] as const
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@&'

/** What the n-th of several models is called in their picture. */
export function letterOf(at: number): string {
  return letters[at % letters.length] ?? '?'
}

/**
 * Plans of models that run at the same time as text: a bar a device with what each model takes of it, begun by the
 * model's letter (`letterOf` its place in the list; undefined: it has none). Alike devices and nodes are drawn once. No
 * line is wider than `width`. Ends with a newline.
 */
export function drawPlans(
  models: readonly (DrawnModel | undefined)[],
  inventory: Inventory,
  { width = 80, color = false }: PictureOptions = {},
): string {
  const instances = models.flatMap((one) => one?.plan.instances ?? [])
  const nodes = foldedNodes(sharedRows(models, inventory))
  const rows = nodes.flatMap((node) => node.rows)
  const layout = layoutOf(rows, Math.max(leastWidth, width), color)
  const drawn = rows.map((row) => barOf(row, layout))
  let at = 0
  const lines = nodes.flatMap(({ names, rows: own }) => [
    ...(inventory.nodes.length > 1 ? wrapped(nodesText(names), layout.width) : []),
    ...own.map((row) => rowLine(row, drawn[at++]?.text ?? '', layout)),
  ])
  const legend = legendLines(
    drawn.map(({ cells }) => cells),
    layout,
  )
  const text = [
    titleText(models, instances),
    '',
    ...lines,
    ...idleLines(instances, inventory, layout.width),
    '',
    ...legend,
    "a letter begins each model's part of a device",
  ]
  return `${text.map((line) => line.trimEnd()).join('\n')}\n`
}

/** A model of the picture in words: its layout, slots, context, and what lies where. Ends with a newline. */
export function describePlan(
  at: number,
  { model, plan }: DrawnModel,
  inventory: Inventory,
  width: number,
): string {
  const groups = groupsOf(plan, inventory)
  const lines = groups.flatMap((group) => {
    const [instance] = group.instances
    if (!instance) return []
    const places = group.rows.map(({ label, holds }) => `${label} (${holds})`).join(', ')
    const links = linkTexts(instance, inventory)
    return [
      ...copiesLines(group, groups.length > 1, width - indent, inventory),
      ...wrapped(`${contextLine(instance)}, on ${places}`, width - indent),
      ...(links.length > 0 ? wrapped(`links: ${links.join(', ')}`, width - indent) : []),
    ].map((line) => `${' '.repeat(indent)}${line}`)
  })
  const title = wrapped(`${letterOf(at)}  ${titleOf(plan, model)}`, width)
  return `${[...title, ...lines].map((line) => line.trimEnd()).join('\n')}\n`
}

function titleText(models: readonly (DrawnModel | undefined)[], instances: readonly PlanInstance[]): string {
  const parts = instances.flatMap((instance) => instance.parts)
  const devices = new Set(parts.flatMap(({ kind, deviceId }) => (kind === 'gpu' ? [deviceId] : []))).size
  const placed = models.filter((one) => one !== undefined).length
  const count = `${placed < models.length ? `${placed} of ` : ''}${models.length} models at the same time`
  return devices === 0
    ? `${count}, on CPUs`
    : `${count}, on ${devices} ${devices === 1 ? 'device' : 'devices'}`
}

/** A row a device that is used, in the order of nodes and devices. */
function sharedRows(models: readonly (DrawnModel | undefined)[], inventory: Inventory): SharedRow[] {
  const found = new Map<string, { row: Row; shares: Share[]; sharedBytes: number }>()
  const usable = new Map(inventory.nodes.map(({ id, usableBytes }) => [id, usableBytes]))
  models.forEach((one, at) => {
    for (const row of one?.plan.instances.flatMap((instance) => rowsOf(instance, inventory, true)) ?? []) {
      const key = row.kind === 'host' ? `${row.node} host` : `${row.node} ${row.label}`
      const entry = found.get(key) ?? { row, shares: [], sharedBytes: 0 }
      found.set(key, entry)
      if (row.label.length > entry.row.label.length) entry.row = row
      // What devices take that share the host's memory.
      if (row.kind === 'host') entry.sharedBytes += Math.max(0, (usable.get(row.node) ?? 0) - row.totalBytes)
      addShare(entry.shares, letterOf(at), row)
    }
  })
  const nodes = new Map(inventory.nodes.map(({ id }, at) => [id, at]))
  return [...found.values()]
    .map(({ row, shares, sharedBytes }) => {
      const totalBytes =
        row.kind === 'host' ? Math.max(0, (usable.get(row.node) ?? 0) - sharedBytes) : row.totalBytes
      return sharedRow({ ...row, totalBytes }, shares)
    })
    .toSorted(
      (a, b) =>
        (nodes.get(a.node) ?? 0) - (nodes.get(b.node) ?? 0) ||
        Number(a.kind === 'host') - Number(b.kind === 'host') ||
        a.label.localeCompare(b.label, 'en', { numeric: true }),
    )
}

function addShare(shares: Share[], letter: string, { bytes, usedBytes }: Row): void {
  const at = shares.findIndex((share) => share.letter === letter)
  const before = shares[at]
  const share = {
    letter,
    bytes: heldParts.map((part, index) => bytes[part] + (before?.bytes[index] ?? 0)),
    usedBytes: usedBytes + (before?.usedBytes ?? 0),
  }
  if (at < 0) shares.push(share)
  else shares[at] = share
}

const gib = 2 ** 30

function sharedRow(row: Row, shares: readonly Share[]): SharedRow {
  const { bytes, totalBytes, ...rest } = row
  const usedBytes = shares.reduce((sum, share) => sum + share.usedBytes, 0)
  const freeBytes = Math.max(0, totalBytes - bytes.kept - usedBytes)
  const holds = shares.map((share) => `${share.letter} ${(share.usedBytes / gib).toFixed(1)}`).join(', ')
  return {
    ...rest,
    shares,
    holds,
    usedBytes,
    totalBytes: Math.max(totalBytes, usedBytes),
    freeBytes,
    keptBytes: Math.max(0, totalBytes - usedBytes - freeBytes),
  }
}

/** Alike devices one after the other as one, then alike nodes. */
function foldedNodes(rows: readonly SharedRow[]): NodeRows[] {
  const nodes: NodeRows[] = []
  for (const [name, own] of Map.groupBy(rows, ({ node }) => node)) {
    const folded = foldedRows(own)
    const last = nodes.at(-1)
    if (last && last.rows.map(likeness).join('|') === folded.map(likeness).join('|')) last.names.push(name)
    else nodes.push({ names: [name], rows: folded })
  }
  return nodes
}

function foldedRows(rows: readonly SharedRow[]): SharedRow[] {
  const out: SharedRow[] = []
  for (const row of rows) {
    const last = out.at(-1)
    if (last && row.kind === 'gpu' && likeness({ ...last, count: 1 }) === likeness(row)) {
      out[out.length - 1] = { ...last, count: last.count + 1 }
    } else out.push(row)
  }
  return out.map((row) => (row.count > 1 ? { ...row, label: `${row.count} x ${nameOf(row)}` } : row))
}

/** The same for rows that a reader would not tell apart. */
function likeness(row: SharedRow): string {
  const shares = row.shares.map(({ letter, usedBytes }) => `${letter}${Math.round(usedBytes / 1e8)}`)
  return [row.count, row.kind === 'gpu' ? nameOf(row) : row.label, row.totalBytes, ...shares].join(' ')
}

function nodesText(names: readonly string[]): string {
  const text = rangesOf(names.map(oneLine))
  return names.length > 1 ? `${text}, each` : text
}

interface Bar {
  text: string
  /** By part, of all models together. */
  cells: Readonly<Record<BarPart, number>>
}

function barOf({ shares, freeBytes, keptBytes }: SharedRow, { bar, color }: Layout): Bar {
  const stretches = [
    ...shares.flatMap(({ letter, bytes }) =>
      heldParts.map((part, at) => ({
        part: part as BarPart,
        letter,
        bytes: bytes[at] ?? 0,
        first: at === 0,
      })),
    ),
    { part: 'free' as const, letter: '', bytes: freeBytes, first: false },
    { part: 'kept' as const, letter: '', bytes: keptBytes, first: false },
  ]
  // The first stretch of a model has a cell for the letter, however small it is.
  const cells = divideCells(
    stretches.map(({ bytes, first }) => ({ bytes, shown: first })),
    bar,
  )
  const sums = new Map<BarPart, number>()
  let text = ''
  stretches.forEach(({ part, letter, first }, at) => {
    const count = cells[at] ?? 0
    const named = first && count > 0
    text += (named ? bold(letter, color) : '') + painted(part, count - (named ? 1 : 0), color)
    sums.set(part, (sums.get(part) ?? 0) + count - (named ? 1 : 0))
  })
  const of = (part: BarPart) => sums.get(part) ?? 0
  return {
    text,
    cells: {
      weights: of('weights'),
      kvCache: of('kvCache'),
      buffers: of('buffers'),
      extras: of('extras'),
      free: of('free'),
      kept: of('kept'),
    },
  }
}

const bold = (text: string, color: boolean) => (color ? `\u001b[1m${text}\u001b[0m` : text)

function rowLine(row: SharedRow, bar: string, layout: Layout): string {
  const [label, holds] = [fitText(row.label, layout.label), fitText(row.holds, layout.holds)]
  return `${' '.repeat(indent)}${label} ${bar} ${sizeText(row).padStart(layout.size)} ${holds}`
}
