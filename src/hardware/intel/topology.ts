import type { LinkClass, LinkReading, OutputReader, PlaceReading, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { numberOf, present, textOf } from '../units.ts'
import { errorIn, type Fields, fieldsOf, listOf, parseJson, textIn } from './json.ts'
import { indexOf, keyAndValue, tableLines } from './table.ts'

/** A tile of a card as the matrix names it: `GPU 1/0`. */
interface Tile {
  index: number
  tile: number
}

const classes: Readonly<Record<string, LinkClass>> = {
  MDF: 'same_board',
  PIX: 'pix',
  PXB: 'pxb',
  PHB: 'phb',
  NODE: 'node',
  SYS: 'sys',
}

/**
 * The way between two tiles. `XL16` is Xe Link by 16 lanes; `XL*` goes to another tile of its card first, and by Xe
 * Link from there (legend of `xpu-smi topology -h`).
 */
function linkOf(a: Tile, b: Tile, label: string): LinkReading {
  const link = /^XL/i.test(label) ? 'xelink' : (classes[label.toUpperCase()] ?? 'unknown')
  return { a, b, class: link, label }
}

const isSelf = (label: string) => /^(S|X|-)$/i.test(label)

const tileHeader = /GPU \d+\/\d+/

function tilesIn(line: string): Tile[] {
  return [...line.matchAll(/GPU (\d{1,5})\/(\d{1,5})/g)].map(([, index, tile]) => ({
    index: Number(index),
    tile: Number(tile),
  }))
}

/** Cells are parted by bars (version 1.2 on) or stand in columns of blanks (`XL 1,2` holds a blank itself). */
function matrixCells(rest: string): string[] {
  const byBar = rest.includes('|')
  return rest
    .split(byBar ? '|' : /\s{2,}/)
    .map((cell) => cell.trim())
    .filter((cell, at) => byBar || at > 0 || cell !== '')
}

function readMatrix(text: string): ReadResult {
  const lines = text.split(/\r?\n/)
  const at = lines.findIndex((line) => tilesIn(line).length > 0 && /CPU Affinity/i.test(line))
  const columns = tilesIn(lines[at] ?? '')
  const links: LinkReading[] = []
  const places = new Map<number, PlaceReading>()
  const notes: string[] = []
  for (const line of at < 0 ? [] : lines.slice(at + 1)) {
    const [, name = '', rest = ''] = /^\s*(GPU \d{1,5}\/\d{1,5})\s*\|?(.*)$/.exec(line) ?? []
    const [row] = tilesIn(name)
    if (row === undefined) continue
    const cells = matrixCells(rest.trim())
    const position = columns.findIndex((other) => other.index === row.index && other.tile === row.tile)
    if (cells.length < columns.length || position < 0) {
      notes.push(`the row of ${name} is cut short`)
      continue
    }
    for (const [column, other] of columns.entries()) {
      const label = cells[column] ?? ''
      if (column > position && !isSelf(label)) links.push(linkOf(row, other, label))
    }
    const cpuAffinity = textOf(cells[columns.length])
    if (cpuAffinity !== undefined && !places.has(row.index))
      places.set(row.index, { index: row.index, cpuAffinity })
  }
  if (links.length + places.size === 0) return refused('the matrix has no row that is whole')
  return readingOf('xpu-smi topology -m', { links, places: [...places.values()], notes })
}

/** `xpu-smi topology -m`: each pair of tiles once, cell by cell, and the cores near each card. */
export const topologyMatrixReader: OutputReader = {
  tool: 'xpu-smi topology -m',
  matches: (text) => tileHeader.test(text) && /CPU Affinity/.test(text),
  read: readMatrix,
}

/** The strongest way between each two cards, which is what their tiles have among them; tiles of one card are left out. */
export function strongestLinks(links: readonly LinkReading[]): LinkReading[] {
  const best = new Map<string, LinkReading>()
  for (const link of links) {
    const { a, b } = link
    if (a.index === b.index) continue
    const key = `${a.index} ${b.index}`
    const known = best.get(key)
    if (known === undefined || strength(link) > strength(known)) best.set(key, link)
  }
  return [...best.values()]
}

const order: readonly LinkClass[] = ['unknown', 'sys', 'node', 'phb', 'pxb', 'pix', 'same_board', 'xelink']

function strength({ class: link, label }: LinkReading): number {
  return order.indexOf(link) * 1000 + (link === 'xelink' ? Math.min(numberOf(label) ?? 0, 999) : 0)
}

function readTable(text: string): ReadResult {
  const places: PlaceReading[] = []
  for (const cells of tableLines(text)) {
    const index = indexOf(cells?.[0])
    if (index !== undefined) places.push({ index })
    const told = keyAndValue(cells?.[1] ?? '')
    const place = places.at(-1)
    const list = /^Local CPU List$/i.test(told?.key ?? '') ? textOf(told?.value) : undefined
    if (place && list !== undefined) place.cpuAffinity = list
  }
  return places.length > 0 ? readingOf('xpu-smi topology', { places }) : refused('no row begins with a card')
}

/** `xpu-smi topology -d <id>` as a table. */
export const topologyTableReader: OutputReader = {
  tool: 'xpu-smi topology',
  matches: (text) => /^[ \t]*\|\s*Device ID\s*\|\s*Topology Information\s*\|/m.test(text),
  read: readTable,
}

function placeOf(fields: Fields): PlaceReading[] {
  const index = numberOf(textIn(fields, 'device_id'))
  const cpuAffinity = textOf(textIn(fields, 'affinity_localcpulist'))
  return index === undefined ? [] : [present({ index, cpuAffinity })]
}

/** Of `-m -j`: one entry for each cell, so each pair stands there twice. */
function cellOf(fields: Fields): { link?: LinkReading; place?: PlaceReading } {
  const [ai, at, bi, bt, numa] = [
    'local_device_id',
    'local_subdevice_id',
    'remote_device_id',
    'remote_subdevice_id',
    'local_numa_index',
  ].map((key) => numberOf(textIn(fields, key)))
  if (ai === undefined || bi === undefined) return {}
  const [a, b] = [
    { index: ai, tile: at ?? 0 },
    { index: bi, tile: bt ?? 0 },
  ]
  const lanes = fields['port_list']
  const count = Array.isArray(lanes) ? lanes.filter((lane) => lane !== 0).length : 0
  const label = textIn(fields, 'link_type') ?? ''
  const place = present({
    index: ai,
    numaNode: numa !== undefined && numa >= 0 && numa < 2 ** 16 ? numa : undefined,
    cpuAffinity: textOf(textIn(fields, 'local_cpu_affinity')),
  })
  const isFirst = a.index < b.index || (a.index === b.index && a.tile < b.tile)
  const link = { ...linkOf(a, b, label), ...(count > 0 && { links: count }) }
  return { place, ...(isFirst && label !== '' && !isSelf(label) && { link }) }
}

function readJson(text: string): ReadResult {
  const json = parseJson(text)
  const fields = fieldsOf(json)
  const error = errorIn(json)
  if (fields === undefined) return refused('the JSON is cut short')
  if (error !== undefined) return refused(`xpu-smi: ${error}`)
  const cells = listOf(fields['topo_list'] ?? fields['xelink_topo_list']).map(cellOf)
  const links = cells.flatMap(({ link }) => link ?? [])
  const all = [...cells.flatMap(({ place }) => place ?? []), ...placeOf(fields)]
  const places = all.filter((place, at) => all.findIndex(({ index }) => index === place.index) === at)
  return readingOf('xpu-smi topology -j', { links, places })
}

/** `xpu-smi topology -d <id> -j` and `-m -j`. */
export const topologyJsonReader: OutputReader = {
  tool: 'xpu-smi topology -j',
  matches: (text) =>
    /^\s*\{/.test(text) && /"(?:affinity_localcpulist|topo_list|xelink_topo_list)"\s*:/.test(text),
  read: readJson,
}
