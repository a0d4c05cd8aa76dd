import type { Vendor } from '../contract.ts'
import { type GpuSpec, specTable } from './table.ts'

/** Words that tell no card from another. */
const idleWords = new Set('nvidia geforce tesla amd ati radeon instinct intel graphics gpu series'.split(' '))

/** What may follow a card's name without making it another card: its memory, the form of its module. */
const harmlessWord = /^(\d+gb?|oam|sxm\d?)$/

/** What a tool's name of a card says. */
export interface NameMatch {
  /** Cards that it may mean. */
  specs: readonly GpuSpec[]
  /** False: the list that the PCI database keeps for all cards of a chip, `Navi 31 [Radeon RX 7900 XT/7900 XTX]`. */
  exact: boolean
  /** It speaks of a certain card, whether the table has that or not; `Vega 20` or `Radeon Graphics` does not. */
  specific: boolean
  /** It may also mean cards that the table does not have. */
  others: boolean
  /** As written behind the name: `MI50 32GB`. */
  memoryGiB?: number
}

interface NamedSpec {
  words: readonly string[]
  spec: GpuSpec
}

const named: readonly NamedSpec[] = specTable.flatMap((spec) =>
  spec.names.map((name) => ({ words: wordsOf(name), spec })).filter(({ words }) => words.length > 0),
)

/**
 * Finds a name in the table: the whole of it, else the longest beginning that only harmless words follow, so that
 * `RTX 4090 Laptop GPU` is no `RTX 4090`. Of the vendor `other` the cards of all vendors are tried.
 */
export function matchName(vendor: Vendor, name: string | undefined): NameMatch {
  const { choices, exact } = choicesOf(name ?? '')
  const found = choices.map((words) => longestMatch(vendor, words))
  const memoryGiB = found.map((match) => match.memoryGiB).find((gib) => gib !== undefined)
  return {
    specs: [...new Set(found.flatMap((match) => match.specs))],
    exact,
    specific: choices.some(isSpecific),
    others: found.some((match) => match.specs.length === 0),
    ...(memoryGiB !== undefined && { memoryGiB }),
  }
}

/** The id in a name such as `Intel(R) Graphics [0x56c0]`, which a driver gives to a card that it has no name for. */
export function idInName(name: string | undefined): string | undefined {
  return /\[(0x[0-9a-f]{4})\]/i.exec(name ?? '')?.[1]?.toLowerCase()
}

function longestMatch(vendor: Vendor, words: readonly string[]): { specs: GpuSpec[]; memoryGiB?: number } {
  const begun = named.filter(
    (entry) =>
      (vendor === 'other' || entry.spec.vendor === vendor) &&
      entry.words.every((word, at) => word === words[at]) &&
      words.slice(entry.words.length).every((word) => harmlessWord.test(word)),
  )
  const length = Math.max(0, ...begun.map((entry) => entry.words.length))
  const specs = begun.filter((entry) => entry.words.length === length).map((entry) => entry.spec)
  const memory = words.slice(length).find((word) => /^\d/.test(word))
  return { specs, ...(specs.length > 0 && memory && { memoryGiB: Number.parseInt(memory, 10) }) }
}

/** The names that a text holds, each as words: one, or those that the PCI database lists in brackets. */
function choicesOf(name: string): { choices: string[][]; exact: boolean } {
  const bracketed = /\[(?!0x)([^\]]+)\]/i.exec(name)?.[1]
  if (bracketed === undefined) return { choices: [wordsOf(name)], exact: true }
  const choices = bracketed.split('/').map(wordsOf)
  // In `RX 7900 XT/7900 XTX` the series stands before the first only.
  const series = choices[0]?.[0] ?? ''
  const lacksSeries = (words: readonly string[]) => /^\d/.test(words[0] ?? '') && /^[a-z]+$/.test(series)
  return { choices: choices.map((words) => (lacksSeries(words) ? [series, ...words] : words)), exact: false }
}

function isSpecific(words: readonly string[]): boolean {
  return words.some((word) => /^(rx|pro|vii|\d{3,4}(m|s|xtx?)?|(mi|[wvr])\d{2,}[a-z]*)$/.test(word))
}

/** The words of a name that tell it from others, without marks, what stands in parentheses, and a MIG profile. */
function wordsOf(name: string): string[] {
  return name
    .toLowerCase()
    .replace(/[®™]|\/pcie\/sse2\s*$|\([^)]*\)|\bmig \d.*$/g, ' ')
    .split(/[^a-z0-9.]+/)
    .filter((word) => word !== '' && !idleWords.has(word))
}
