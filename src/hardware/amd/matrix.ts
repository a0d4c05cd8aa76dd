/**
 * The ways between cards. `amd-smi topology`, `rocm-smi --showtopo` and their JSON say the same in tables of their own:
 * all come down to one `Way` for each ordered pair of cards.
 */
import type { LinkClass, LinkReading } from '../contract.ts'
import { isUnavailable, numberOf, pciAddressOf, present } from '../units.ts'

/** What is told of the way from one card to another, as it was written. */
export interface Way {
  type?: string
  weight?: string
  hops?: string
  access?: string
  dma?: string
  /** Least and most, in 10^6 bytes a second: `50000-50000`. */
  bandwidth?: string
}

/** A card as the tool names it. */
export type End = LinkReading['a']

/** One table of a report: its title, and its cells by row and column. */
interface Table {
  title: string
  labels: string[]
  rows: Map<string, string[]>
}

const label = /^(GPU\d+|[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$/i

/** All tables whose columns are cards, and the titles of those that end too early. */
export function readTables(text: string): { tables: Table[]; cut: string[] } {
  const tables: Table[] = []
  const cut: string[] = []
  let title = ''
  let open: Table | undefined
  for (const line of text.split('\n')) {
    const words = line.trim().split(/\s+/)
    const [first = ''] = words
    if (words.every((word) => label.test(word))) {
      open = { title, labels: words, rows: new Map() }
      tables.push(open)
    } else if (open && label.test(first)) {
      if (words.length === open.labels.length + 1) open.rows.set(first, words.slice(1))
    } else if (first !== '') {
      title = line.replace(/[=:]/g, '').trim().toLowerCase()
      open = undefined
    }
  }
  for (const table of tables) if (table.rows.size < table.labels.length) cut.push(table.title)
  return { tables, cut }
}

/** Titles in both tools' words. Tables of coherence and atomics say nothing that Drover uses. */
const titles: readonly (readonly [RegExp, keyof Way])[] = [
  [/^access|accessib/, 'access'],
  [/^weight/, 'weight'],
  [/^hops/, 'hops'],
  [/^link type/, 'type'],
  [/^(numa )?(bw|bandwidth)/, 'bandwidth'],
  [/^dma/, 'dma'],
]

/** The ways that the tables tell, by the label of the row and of the column, in the order of the labels. */
export function waysOfTables(tables: readonly Table[]): { labels: string[]; ways: Map<string, Way> } {
  const labels = [...new Set(tables.flatMap((table) => table.labels))]
  const ways = new Map<string, Way>()
  for (const table of tables) {
    const field = titles.find(([pattern]) => pattern.test(table.title))?.[1]
    for (const [row, cells] of table.rows) {
      for (const [column, cell] of cells.entries()) {
        const key = wayKey(row, table.labels[column] ?? '')
        const way = ways.get(key) ?? {}
        if (field !== undefined) way[field] = cell
        ways.set(key, way)
      }
    }
  }
  return { labels, ways }
}

export function wayKey(from: string, to: string): string {
  return `${from} ${to}`
}

/** `GPU3` by its number, all else by its address. */
export function endOfLabel(text: string): End {
  const pciAddress = pciAddressOf(text)
  return pciAddress === undefined ? present({ index: numberOf(text.replace(/\D/g, '')) }) : { pciAddress }
}

/**
 * A link for each pair of cards; two where the tool says one thing of the way there and another of the way back.
 * `numaNodeOf` says on which NUMA node a card stands, as far as the same text tells that.
 */
export function linksOfWays(
  labels: readonly string[],
  ways: ReadonlyMap<string, Way>,
  endOf: (label: string) => End = endOfLabel,
  numaNodeOf: (end: End) => number | undefined = () => undefined,
): LinkReading[] {
  const linkOf = (from: string, to: string): LinkReading | undefined => {
    const way = ways.get(wayKey(from, to))
    const [a, b] = [endOf(from), endOf(to)]
    return way && linkOfWay(way, a, b, numaNodeOf(a), numaNodeOf(b))
  }
  return labels.flatMap((from, position) =>
    labels.slice(position + 1).flatMap((to) => {
      const [there, back] = [linkOf(from, to), linkOf(to, from)]
      if (!there || !back) return there ?? back ?? []
      return sameWay(there, back) ? there : [there, back]
    }),
  )
}

function sameWay(there: LinkReading, back: LinkReading): boolean {
  const plain = (link: LinkReading) => JSON.stringify({ ...link, a: undefined, b: undefined })
  return plain(there) === plain(back)
}

function linkOfWay(way: Way, a: End, b: End, numaA?: number, numaB?: number): LinkReading {
  const { type, hops, weight } = way
  const most = way.bandwidth?.split('-').at(-1)
  const megabytes = numberOf(most)
  return present({
    a,
    b,
    class: classOfType(type, numberOf(hops), numberOf(weight), numaA, numaB),
    label: type === undefined || isUnavailable(type) ? 'unknown' : type,
    gbPerSecond: megabytes === undefined || megabytes <= 0 ? undefined : megabytes / 1000,
    peerAccess: flagOf(way.access) ?? flagOf(way.dma),
  })
}

function flagOf(text: string | undefined): boolean | undefined {
  if (/^(enabled|true|t)$/i.test(text ?? '')) return true
  return /^(disabled|false|f)$/i.test(text ?? '') ? false : undefined
}

/**
 * XGMI is told as such. Of PCIe the tools tell how far it goes: two hops of weight 20 lead up to the processor of one
 * NUMA node and down again, a third one, or more weight, to another node (`KFD_CRAT_*_WEIGHT` in the kernel).
 */
export function classOfType(
  type: string | undefined,
  hops: number | undefined,
  weight: number | undefined,
  numaA?: number,
  numaB?: number,
): LinkClass {
  if (/^xgmi$/i.test(type ?? '')) return 'xgmi'
  if (!/^pcie$/i.test(type ?? '')) return 'unknown'
  if (numaA !== undefined && numaB !== undefined && numaA !== numaB) return 'sys'
  if ((hops ?? 0) > 2 || (weight ?? 0) > 40) return 'sys'
  return hops === undefined && weight === undefined ? 'unknown' : 'phb'
}
