import type { Device, Topology } from '../contract.ts'
import { classesOf, linkClasses } from './classes.ts'
import { describeDevice } from './describe.ts'
import { bridgeGroups, bridgeText } from './groups.ts'
import { drawnDevices, drawnLinks, linkFinder, rateText, shortLabels } from './labels.ts'
import { devicesByNode, numaNodes } from './nodes.ts'

/** Columns that the matrix keeps within while it can, by standing closer. */
const comfortableWidth = 120

/**
 * The topology as text: a matrix of link classes with 10^9 bytes a second each way, what the classes mean, and a tree
 * of NUMA nodes, their devices, and the groups that bridges make. Ends with a newline.
 */
export function drawText(topology: Topology): string {
  if (topology.devices.length === 0) return 'No devices.\n'
  const groups = groupLines(topology)
  const parts = [matrixLines(topology), legendLines(topology), treeLines(topology), groups]
  return `${parts
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`
}

function matrixLines(topology: Topology): string[] {
  const devices = drawnDevices(topology)
  const labels = shortLabels(topology.devices)
  const nodes = numaNodes(topology.devices)
  const cell = cellText(topology)
  const label = (device: Device) => plain(labels.get(device.id) ?? '')
  const rows = devices.map((device) => [
    label(device),
    ...devices.map((other) => cell(device, other)),
    `${nodes.get(device.id) ?? '-'}`,
  ])
  return aligned([['', ...devices.map(label), 'NUMA'], ...rows])
}

function cellText(topology: Topology): (a: Device, b: Device) => string {
  const find = linkFinder(topology)
  return (a, b) => {
    if (a === b) return 'X'
    const link = find(a, b)
    if (!link) return '?'
    return plain(link.gbPerSecond ? `${link.label} ${rateText(link.gbPerSecond)}` : link.label)
  }
}

/** Rows in columns, two spaces apart, or one where two are too wide. */
function aligned(rows: readonly string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const total = widths.reduce((sum, width) => sum + width + 2, -2)
  const gap = total > comfortableWidth ? ' ' : '  '
  return rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join(gap)
      .trimEnd(),
  )
}

function legendLines(topology: Topology): string[] {
  const links = drawnLinks(topology)
  const classes = classesOf(links)
  if (classes.length === 0) return []
  const rows = classes.map((name) => {
    const { label, meaning } = linkClasses[name]
    return [`  ${name === 'nvlink' ? 'NV#' : label}`, meaning]
  })
  const told = links.some(({ gbPerSecond }) => gbPerSecond && gbPerSecond.from !== 'derived')
  const rates = `Numbers are GB/s each way, estimated${told ? '; * told by the driver or measured' : ''}.`
  return [...aligned(rows), rates]
}

function treeLines(topology: Topology): string[] {
  const labels = shortLabels(topology.devices)
  const drawn = new Set(drawnDevices(topology))
  return devicesByNode(topology.devices).flatMap(({ node, devices }) => {
    const members = devices.filter((device) => drawn.has(device)).toSorted(cpusFirst)
    const rows = aligned(
      members.map((device) => [labels.get(device.id) ?? '', ...columnsOf(device, topology)]),
    )
    const title = node === undefined ? 'NUMA node not told' : `NUMA node ${node}`
    return [title, ...rows.map((row, at) => `${at === rows.length - 1 ? '└─' : '├─'} ${row}`)]
  })
}

function columnsOf(device: Device, topology: Topology): string[] {
  const { name, memory = '', cores, link = '', slow, state, parts } = describeDevice(device, topology)
  const notes = [parts, state && `[${state}]`].filter((note) => note !== undefined)
  return [name, memory, cores ?? (slow ? `${link} (!)` : link), notes.join(' ')].map(plain)
}

function cpusFirst(a: Device, b: Device): number {
  return Number(b.kind === 'cpu') - Number(a.kind === 'cpu')
}

function groupLines(topology: Topology): string[] {
  const labels = shortLabels(topology.devices)
  return bridgeGroups(topology).map((group) => {
    const members = group.members.map((device) => labels.get(device.id) ?? '').join(' ')
    return plain(`${group.name}: ${members} (${bridgeText(group)})`)
  })
}

/** A name on one line: what a driver says must not move a terminal's cursor. */
function plain(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ')
}
