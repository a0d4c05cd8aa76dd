import type { DeviceReading, LinkReading, OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { isUnavailable, numberOf, pciAddressOf, present } from '../units.ts'
import { type End, endOfLabel, linksOfWays, readTables, type Way, wayKey, waysOfTables } from './matrix.ts'
import { amdReading } from './shape.ts'
import { cardsOfJson } from './smi.ts'
import { at, isTree, type Tree, textAt, treesOf } from './tree.ts'

const topology = 'amd-smi topology'
const xgmi = 'amd-smi xgmi'

function cardOf(source: string, end: End): DeviceReading {
  return amdReading(source, end)
}

/** `amd-smi topology` as text: a table for each thing it tells, cards by their addresses. */
export const topologyTextReader: OutputReader = {
  tool: topology,
  matches: (text) =>
    /^[ \t]*(ACCESS|WEIGHT|HOPS|LINK TYPE|NUMA BW|CACHE COHERANCY|ATOMICS|DMA) TABLE:/im.test(text),
  read(text) {
    const { tables, cut } = readTables(text)
    if (tables.length === 0) return refused('it has the titles of tables, and no table')
    const { labels, ways } = waysOfTables(tables)
    return readingOf(topology, {
      devices: labels.map((label) => cardOf(topology, endOfLabel(label))),
      links: linksOfWays(labels, ways),
      notes: cut.map((title) => `the table "${title}" ends too early: ways are missing`),
    })
  },
}

/** `amd-smi topology --json`: a list of links for each card, or (ROCm 6.1) a block for each thing it tells. */
export const topologyJsonReader: OutputReader = {
  tool: `${topology} --json`,
  matches: (text) => /"(links|link_accessibility|link_type)"\s*:/.test(text) && /"gpu"\s*:/.test(text),
  read(text) {
    const cards = cardsOfJson(text)
    if (cards === undefined) return refused('no JSON: it ends too early, or something was printed into it')
    if (cards.some((card) => isTree(at(card, 'link_metrics')))) return readXgmiJson(cards)
    const ways = new Map<string, Way>()
    const ends = new Map<string, End>()
    for (const card of cards) {
      const from = textAt(card, 'gpu')
      if (from === undefined) continue
      ends.set(from, endOf(card))
      for (const [to, way] of [...waysOfList(card), ...waysOfBlocks(card)]) ways.set(wayKey(from, to), way)
    }
    if (ways.size === 0) return refused('no ways between cards are in it')
    const labels = [...ends.keys()]
    return readingOf(`${topology} --json`, {
      devices: labels.map((label) => cardOf(topology, ends.get(label) ?? {})),
      links: linksOfWays(labels, ways, (label) => ends.get(label) ?? {}),
    })
  },
}

function endOf(card: Tree): End {
  return present({ index: numberOf(textAt(card, 'gpu')), pciAddress: pciAddressOf(textAt(card, 'bdf')) })
}

function waysOfList(card: Tree): [string, Way][] {
  return treesOf(at(card, 'links')).flatMap((link) => {
    const to = textAt(link, 'gpu')
    const way = present({
      type: textAt(link, 'link_type'),
      weight: textAt(link, 'weight'),
      hops: textAt(link, 'num_hops', 'hops'),
      access: textAt(link, 'link_status'),
      dma: textAt(link, 'dma'),
      bandwidth: textAt(link, 'bandwidth'),
    })
    return to === undefined ? [] : [[to, way] as [string, Way]]
  })
}

function waysOfBlocks(card: Tree): [string, Way][] {
  const types = at(card, 'link_type')
  const others = at(card, 'link_accessibility')
  const keys = Object.keys(isTree(types) ? types : isTree(others) ? others : {})
  return keys.map((key) => [
    key.replace(/^gpu_/, ''),
    present({
      type: textAt(card, `link_type.${key}`),
      weight: textAt(card, `weight.${key}`),
      hops: textAt(card, `hops.${key}`),
      access: textAt(card, `link_accessibility.${key}`),
      bandwidth: textAt(card, `numa_bandwidth.${key}`),
    }),
  ])
}

/** `512 Gb/s` of one link, each way, in 10^9 bytes. */
function gigabytesOf(text: string | undefined): number | undefined {
  const gigabits = /\bGb\/s/.test(text ?? '') ? numberOf(text) : undefined
  return gigabits === undefined || gigabits <= 0 ? undefined : gigabits / 8
}

function xgmiLink(a: End, b: End, type: string, gbPerSecond: number | undefined): LinkReading {
  return present({ a, b, class: type === 'XGMI' ? 'xgmi' : 'unknown', label: type, gbPerSecond })
}

/** `amd-smi xgmi` as text: a row for each card with its link, then what it read from and wrote to each other one. */
export const xgmiTextReader: OutputReader = {
  tool: xgmi,
  matches: (text) => /^[ \t]*(XGMI )?LINK METRIC TABLE:/im.test(text),
  read(text) {
    const addresses = addressesOf(/^[ \t]*bdf\s+bit_rate.*$/m.exec(text)?.[0] ?? '')
    const rows = [...text.matchAll(/^GPU(\d+)\s+(\S+)\s+(.*?)\s+(XGMI|PCIE|N\/A)\s*\n\s*Read\s+(.*)$/gm)]
    const links = rows.flatMap(([, index, bdf, speeds = '', type = '', read = '']) => {
      const from = present({ index: Number(index), pciAddress: pciAddressOf(bdf) })
      const cells = read.trim().split(/\s{2,}/)
      return addresses.flatMap((pciAddress, column) => {
        const joined = !isUnavailable(cells[column]) && column > addresses.indexOf(from.pciAddress ?? '')
        return joined
          ? [xgmiLink(from, { pciAddress }, type, gigabytesOf(speeds.split(/\s{2,}/).at(-1)))]
          : []
      })
    })
    if (rows.length === 0) return refused('it has the title of the table, and no card')
    const missing = addresses.length - rows.length
    return readingOf(xgmi, {
      devices: rows.map(([, index, bdf]) =>
        amdReading(xgmi, { index: Number(index), pciAddress: pciAddressOf(bdf) }),
      ),
      links,
      notes:
        missing > 0 ? [`the table ends too early: ${missing} of ${addresses.length} cards are missing`] : [],
    })
  },
}

function addressesOf(line: string): string[] {
  return line.split(/\s+/).flatMap((word) => pciAddressOf(word) ?? [])
}

function readXgmiJson(cards: readonly Tree[]) {
  const links = cards.flatMap((card) => {
    const from = endOf(card)
    const type = textAt(card, 'link_metrics.link_type') ?? 'unknown'
    const speed = gigabytesOf(textAt(card, 'link_metrics.max_bandwidth'))
    return treesOf(at(card, 'link_metrics.links')).flatMap((link) => {
      const to = endOf(link)
      const isLater = (to.index ?? -1) > (from.index ?? 0)
      return isLater && textAt(link, 'read', 'write') !== undefined ? [xgmiLink(from, to, type, speed)] : []
    })
  })
  return readingOf(`${xgmi} --json`, { devices: cards.map((card) => cardOf(xgmi, endOf(card))), links })
}
