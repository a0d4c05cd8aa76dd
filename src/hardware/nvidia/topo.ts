import { stripVTControlCharacters } from 'node:util'
import type { LinkClass, LinkReading, OutputReader, PlaceReading } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { numberOf, present, textOf } from '../units.ts'

const tool = 'nvidia-smi topo -m'

const classes: Readonly<Record<string, LinkClass>> = {
  PIX: 'pix',
  PXB: 'pxb',
  PHB: 'phb',
  NODE: 'node',
  SYS: 'sys',
  // Drivers before 384 wrote SOC for the way between sockets, and PSB for the bridge inside a board of two chips.
  SOC: 'sys',
  PSB: 'same_board',
}

const tailTitles = /CPU Affinity|GPU NUMA ID|NUMA Affinity/gi

/** `nvidia-smi topo -m`: the way between each two cards, and the cores and NUMA node near each. */
export const topoReader: OutputReader = {
  tool,
  matches(text) {
    // Tools of other makers print the same matrix.
    if (/MetaX|mx-smi|ixsmi|mthreads/i.test(text)) return false
    const header = headerOf(text)
    return header !== undefined && rowsOf(text, header).size > 0
  },
  read(text) {
    const header = headerOf(text)
    if (header === undefined) return refused(`${tool}: there is no header of GPU0, GPU1, …`)
    const rows = rowsOf(text, header)
    if (rows.size === 0) return refused(`${tool}: there is no row below the header`)
    const cut = header.gpus.filter((gpu) => !rows.has(gpu))
    return readingOf(tool, {
      links: linksOf(rows, header.gpus),
      places: [...rows].map(([gpu, row]) => placeOf(gpu, row.tail, header.tail)),
      notes: cut.map((gpu) => `${tool}: the row of GPU${gpu} is missing`),
    })
  },
}

interface Header {
  /** Names of the columns that are devices, in order; empty where the device is no card of this vendor. */
  devices: (number | undefined)[]
  gpus: number[]
  /** Names of the columns behind those. */
  tail: string[]
}

/** nvidia-smi underlines the header on a terminal, and in files too: such marks are stripped. */
function headerOf(text: string): Header | undefined {
  for (const line of stripVTControlCharacters(text).slice(0, 100_000).split(/\r?\n/)) {
    // A row has an X where it meets itself; the header has none.
    if (!/^\s*GPU\d+(\s|$)/.test(line) || /\sX(\s|$)/.test(line)) continue
    const tail = line.search(tailTitles)
    const names = (tail < 0 ? line : line.slice(0, tail)).trim().split(/\s+/)
    const devices = names.map(gpuNumber)
    return {
      devices,
      gpus: devices.filter((gpu) => gpu !== undefined),
      tail: line.match(tailTitles) ?? [],
    }
  }
  return undefined
}

function gpuNumber(name: string): number | undefined {
  const digits = /^GPU(\d+)$/i.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

interface Row {
  /** What stands in the column of each card. */
  cells: Map<number, string>
  tail: string[]
}

function rowsOf(text: string, header: Header): Map<number, Row> {
  const rows = new Map<number, Row>()
  for (const line of stripVTControlCharacters(text).split(/\r?\n/)) {
    const gpu = gpuNumber(/^\s*(GPU\d+)\s/i.exec(line)?.[1] ?? '')
    if (gpu === undefined || !/\sX(\s|$)/.test(line)) continue
    const words = line.trim().split(/\s+/).slice(1)
    const cells = new Map<number, string>()
    header.devices.forEach((column, at) => {
      const word = words[at]
      if (column !== undefined && word !== undefined) cells.set(column, word)
    })
    // Where tabs part the cells, an empty one can be told from a missing one.
    const byTab = line
      .trimStart()
      .split('\t')
      .map((cell) => cell.trim())
    const count = header.devices.length
    const tail = byTab.length > count ? byTab.slice(count + 1) : words.slice(count)
    rows.set(gpu, { cells, tail })
  }
  return rows
}

/** Each pair once; both ways only where the two cells differ. */
function linksOf(rows: ReadonlyMap<number, Row>, gpus: readonly number[]): LinkReading[] {
  const links: LinkReading[] = []
  for (const a of gpus) {
    for (const b of gpus) {
      if (a >= b) continue
      const there = rows.get(a)?.cells.get(b)
      const back = rows.get(b)?.cells.get(a)
      if (there !== undefined) links.push(linkOf(a, b, there))
      if (back !== undefined && back !== there) links.push(linkOf(b, a, back))
    }
  }
  return links
}

function linkOf(a: number, b: number, label: string): LinkReading {
  const bonded = /^NV(\d+)$/i.exec(label)?.[1]
  return present({
    a: { index: a },
    b: { index: b },
    class:
      bonded === undefined ? (classes[label.toUpperCase()] ?? ('unknown' as const)) : ('nvlink' as const),
    label,
    links: bonded === undefined ? undefined : Number(bonded),
  })
}

function placeOf(index: number, tail: readonly string[], names: readonly string[]): PlaceReading {
  const at = (name: RegExp): string | undefined => {
    const column = names.findIndex((title) => name.test(title))
    return column < 0 ? undefined : textOf(tail[column])
  }
  const cores = at(/^CPU Affinity/i)
  const node = at(/^NUMA Affinity/i)
  return present({
    index,
    // A list of nodes says nothing that one number could hold.
    numaNode: node !== undefined && /^\d+$/.test(node) ? numberOf(node) : undefined,
    cpuAffinity: cores !== undefined && /^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(cores) ? cores : undefined,
  })
}
