import type { Inventory, MemoryParts, PlanDevice, PlanInstance, PlanPart } from '../contract.ts'
import type { BarPart } from './bar.ts'

/** One bar: a device, several alike ones, or a node's host memory. */
export interface Row {
  kind: 'gpu' | 'host'
  node: string
  label: string
  bytes: Readonly<Record<BarPart, number>>
  usedBytes: number
  totalBytes: number
  /** Layers and shares: `layers 0-39`, `1/2 of layers 0-79, head`. */
  holds: string
  /** Devices that look the same. */
  count: number
}

/** The bars of an instance, the hosts' at the end of their node's; parts that look alike are one, unless `each` is to have its own. */
export function rowsOf(instance: PlanInstance, inventory: Inventory, each = false): Row[] {
  const devices = new Map(inventory.devices.map((device) => [device.id, device]))
  const gpus = instance.parts.filter(({ kind }) => kind === 'gpu')
  const nodes = [...new Set([...instance.parts.map(({ node }) => node), instance.node])]
  return nodes.flatMap((node) => [
    ...foldedUnless(
      each,
      gpus.filter((part) => part.node === node).flatMap((part) => gpuRow(part, instance, devices)),
    ),
    ...hostRow(node, instance, inventory),
  ])
}

function gpuRow(
  part: PlanPart,
  { draftDeviceId }: PlanInstance,
  devices: ReadonlyMap<string, PlanDevice>,
): Row[] {
  const device = devices.get(part.deviceId)
  if (!device) return []
  const { memory } = part
  const draft = draftDeviceId === device.id ? ', draft' : ''
  return [
    {
      kind: 'gpu',
      node: part.node,
      label: `${shortId(device)} ${shortName(device.name)}`,
      bytes: stretches(memory, device.usableBytes, device.totalBytes),
      usedBytes: memory.totalBytes,
      totalBytes: device.totalBytes,
      holds: `${holdsOf(part)}${draft}`,
      count: 1,
    },
  ]
}

function stretches(memory: MemoryParts, usable: number, total: number): Record<BarPart, number> {
  const used = memory.totalBytes
  return {
    weights: memory.weightsBytes,
    kvCache: memory.kvCacheBytes,
    buffers: memory.computeBytes + memory.overheadBytes,
    extras: memory.projectorBytes + memory.draftBytes,
    free: Math.max(0, usable - used),
    kept: Math.max(0, total - Math.max(usable, used)),
  }
}

/** `layers 0-39`, `layer 79, head`, `1/8 of layers 0-60`. */
function holdsOf({ layers: [first, end], share, output }: PlanPart): string {
  const range = end <= first ? '' : rangeText(first, end - 1)
  const shared = share < 1 && range !== '' ? `${shareText(share)} of ${range}` : range
  return [shared, output ? 'head' : ''].filter((text) => text !== '').join(', ')
}

function rangeText(first: number, last: number): string {
  return first === last ? `layer ${first}` : `layers ${first}-${last}`
}

/** `1/4` where it is such a part, else `31 %`. */
function shareText(share: number): string {
  const parts = Math.round(1 / share)
  return Math.abs(parts * share - 1) < 0.005 ? `1/${parts}` : `${Math.round(share * 100)} %`
}

function hostRow(node: string, instance: PlanInstance, inventory: Inventory): Row[] {
  const found = inventory.nodes.find(({ id }) => id === node)
  const cpu = instance.parts.filter((part) => part.kind === 'cpu' && part.node === node)
  const own = node === instance.node ? [instance.host] : []
  const memory = sumOf([...cpu.map((part) => part.memory), ...own])
  if (!found || memory.totalBytes <= 0) return []
  const shared = instance.parts
    .filter((part) => part.kind === 'gpu' && part.node === node && isUnified(part, inventory))
    .reduce((sum, part) => sum + part.memory.totalBytes, 0)
  const total = Math.max(memory.totalBytes, found.usableBytes - shared)
  const layers = cpu.map(holdsOf).filter((text) => text !== '')
  const experts = node === instance.node ? instance.parts.flatMap(({ hostExperts }) => hostExperts) : []
  const expertText =
    experts.length > 0 ? [`experts of ${rangeText(Math.min(...experts), Math.max(...experts))}`] : []
  const holds = [...layers, ...expertText]
  return [
    {
      kind: 'host',
      node,
      label: cpu.length > 0 ? 'CPU and host memory' : 'host memory',
      bytes: stretches(memory, total, total),
      usedBytes: memory.totalBytes,
      totalBytes: total,
      holds: holds.length > 0 ? holds.join(', ') : memory.weightsBytes > 0 ? 'input embedding' : 'buffers',
      count: 1,
    },
  ]
}

const isUnified = ({ deviceId }: PlanPart, { devices }: Inventory) =>
  devices.some(({ id, unifiedMemory }) => id === deviceId && unifiedMemory)

function sumOf(parts: readonly MemoryParts[]): MemoryParts {
  const sum = (key: keyof MemoryParts) => parts.reduce((all, part) => all + part[key], 0)
  return {
    weightsBytes: sum('weightsBytes'),
    kvCacheBytes: sum('kvCacheBytes'),
    computeBytes: sum('computeBytes'),
    overheadBytes: sum('overheadBytes'),
    projectorBytes: sum('projectorBytes'),
    draftBytes: sum('draftBytes'),
    totalBytes: sum('totalBytes'),
  }
}

function foldedUnless(each: boolean, rows: readonly Row[]): readonly Row[] {
  return each ? rows : folded(rows)
}

/** Rows one after the other that differ in their number only, as one. */
function folded(rows: readonly Row[]): Row[] {
  const out: Row[] = []
  for (const row of rows) {
    const last = out.at(-1)
    if (last && likeness(last) === likeness(row)) out[out.length - 1] = { ...last, count: last.count + 1 }
    else out.push(row)
  }
  return out.map((row) => (row.count > 1 ? { ...row, label: `${row.count} x ${nameOf(row)}` } : row))
}

/** The row without its device's id; those of hosts and of several devices have none. */
export function unnumbered(row: Row): Row {
  return row.kind === 'gpu' && row.count === 1 ? { ...row, label: nameOf(row) } : row
}

export const nameOf = ({ label }: Pick<Row, 'label'>) => label.slice(label.indexOf(' ') + 1)

/** The same for rows that a reader would not tell apart. */
function likeness(row: Row): string {
  const { usedBytes, totalBytes, holds } = row
  return [nameOf(row), Math.round(usedBytes / 1e7), totalBytes, holds].join(' ')
}

/** What looks the same as another instance, but for the devices. */
export function instanceLikeness(
  rows: readonly Row[],
  { engine, slots, contextLength }: PlanInstance,
): string {
  return [engine, slots, contextLength, ...rows.map((row) => `${row.count} ${likeness(row)}`)].join('|')
}

/** As the engine calls it, where that is known: shorter than a UUID. */
export function shortId({ id, engineName }: PlanDevice): string {
  return oneLine(engineName ?? id)
}

/** `RTX 3090` of `NVIDIA GeForce RTX 3090`. */
export function shortName(name: string): string {
  return oneLine(name.replace(/\((R|TM)\)/gi, '').replace(/^(NVIDIA|AMD|Intel|Apple)\s+/i, ''))
    .replace(/^(GeForce|Radeon)\s+/i, '')
    .replace(/\s+Graphics$/i, '')
}

/** What a driver says must not move a terminal's cursor. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim()
}
