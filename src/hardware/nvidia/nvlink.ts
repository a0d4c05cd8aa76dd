import type { DeviceReading, LinkReading, OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { numberOf, present } from '../units.ts'
import { kindOf, uuidOf } from './card.ts'

const tool = 'nvidia-smi nvlink -s'
const gpuLine = /^\s*GPU\s+(\d+):\s*(.+?)\s*\(UUID:\s*([^)]+)\)/i
const linkLine = /^\s*Link\s+(\d+):\s*(.+?)\s*$/i
const statement = /nvlink (queries|information)|support nvlink|all links are inactive/i

/** The NVLinks of one card. */
export interface NvlinkStatus {
  index: number
  name: string
  uuid?: string
  /** Of each link that is up, 10^9 bytes a second each way. */
  gbPerSecond: number[]
  /** Links that are there and down. */
  down: number
  /** Why there is none, in the tool's words. */
  statement?: string
}

/** The cards of a `nvidia-smi nvlink -s` with their links. */
export function nvlinksOf(text: string): NvlinkStatus[] {
  const cards: NvlinkStatus[] = []
  for (const line of text.split(/\r?\n/)) {
    const [, index, name, uuid] = gpuLine.exec(line) ?? []
    if (index !== undefined && name !== undefined) {
      cards.push(present({ index: Number(index), name, uuid: uuidOf(uuid), gbPerSecond: [], down: 0 }))
      continue
    }
    const card = cards.at(-1)
    if (card === undefined) continue
    const rate = linkLine.exec(line)?.[2]
    const speed = rate !== undefined && /GB\/s/i.test(rate) ? numberOf(rate) : undefined
    if (speed !== undefined) card.gbPerSecond.push(speed)
    else if (rate !== undefined && /inactive|down|disabled/i.test(rate)) card.down += 1
    else if (statement.test(line)) card.statement = line.trim()
  }
  return cards
}

/**
 * Gives NVLink cells of `topo -m` the rate that `nvlink -s` tells: the cell's links at the slower card's rate of one
 * link. Other links, and those of cards without a rate, stay as they are.
 */
export function withRates(links: readonly LinkReading[], cards: readonly NvlinkStatus[]): LinkReading[] {
  const rates = new Map(
    cards
      .filter(({ gbPerSecond }) => gbPerSecond.length > 0)
      .map((card) => [card.index, Math.min(...card.gbPerSecond)]),
  )
  return links.map((link) => {
    const a = rates.get(link.a.index ?? -1)
    const b = rates.get(link.b.index ?? -1)
    if (link.class !== 'nvlink' || link.links === undefined || a === undefined || b === undefined) return link
    return { ...link, gbPerSecond: rounded(link.links * Math.min(a, b)) }
  })
}

const rounded = (value: number): number => Math.round(value * 1000) / 1000

/** `nvidia-smi nvlink -s`. It does not tell where the links lead, so that they are notes here, and rates in the probe. */
export const nvlinkReader: OutputReader = {
  tool,
  matches: (text) =>
    gpuLine.test(text) && text.split(/\r?\n/).some((line) => linkLine.test(line) || statement.test(line)),
  read(text) {
    const cards = nvlinksOf(text)
    if (cards.length === 0) return refused(`${tool}: no card is listed in it`)
    const devices = cards.map(
      ({ index, name, uuid }): DeviceReading =>
        present({ vendor: 'nvidia' as const, source: tool, index, uuid, name, kind: kindOf(name) }),
    )
    return readingOf(tool, { devices, notes: cards.map(noteOf) })
  },
}

function noteOf(card: NvlinkStatus): string {
  const { index, gbPerSecond, down } = card
  if (gbPerSecond.length === 0)
    return `GPU ${index}: no NVLink is up${card.statement === undefined ? '' : `: ${card.statement}`}`
  const sum = rounded(gbPerSecond.reduce((total, rate) => total + rate, 0))
  const broken = down === 0 ? '' : `, ${down} down`
  return `GPU ${index}: ${gbPerSecond.length} NVLinks up${broken}, ${sum} GB/s each way together`
}
