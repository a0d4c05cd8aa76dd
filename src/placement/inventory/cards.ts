import { type GpuSpec, specTable } from '../../hardware/index.ts'
import { DroverError } from '../../inference/index.ts'

/** Words that people leave out. */
const idleWords =
  /nvidia|geforce|tesla|amd|ati\b|radeon|instinct|intel|apple|graphics|gpu|data center|\(r\)|\(tm\)/g

/** What stands before the number of a card's name, and is left out as often: `4090`, `7900xtx`, `b580`. */
const series = /^(quadro|rtx|gtx|gt|rx|arc|pro)/

const mostSuggestions = 6

interface NamedCard {
  spec: GpuSpec
  /** The table's own name for it, and every name, squashed. */
  own: readonly string[]
  keys: readonly string[]
}

const cards: readonly NamedCard[] = specTable.map((spec) => ({
  spec,
  own: keysOf(spec.card),
  keys: [...new Set([spec.card, ...spec.names].flatMap(keysOf))],
}))

/** `rtx4090` and `4090` of `NVIDIA GeForce RTX 4090`. */
function keysOf(name: string): string[] {
  const keys = [squashed(name)]
  for (let key = keys[0] ?? ''; series.test(key); ) {
    key = key.replace(series, '')
    keys.push(key)
  }
  return keys.filter((key) => key !== '')
}

function squashed(name: string): string {
  return name
    .toLowerCase()
    .replace(idleWords, '')
    .replace(/[^a-z0-9]/g, '')
}

/**
 * A card of the specification table by the name that people give it: `4090`, `rx7900xtx`, `A100 SXM`, or the beginning
 * of one that only one card has. Where cards of several sizes bear the name, `memoryGiB` decides. Throws
 * `invalid_request` that names the cards it may be.
 */
export function findCard(name: string, memoryGiB?: number): GpuSpec {
  const wanted = squashed(name)
  const named = cards.filter(({ keys }) => keys.includes(wanted))
  const begun = wanted === '' ? [] : cards.filter(({ keys }) => keys.some((key) => key.startsWith(wanted)))
  const likely = named.length > 0 ? named : begun
  const sized = ofSize(likely, memoryGiB)
  const [only, ...others] = sized
  if (only && others.length === 0) return only.spec
  const form = memoryGiB === undefined ? undefined : asModule(sized)
  if (form) return form
  const own = likely.filter((card) => card.own.includes(wanted))
  if (memoryGiB === undefined && own.length === 1 && own[0]) return own[0].spec
  throw new DroverError('invalid_request', refusal(name, likely))
}

/** Of one card as a module and as a board the module, as servers have it; undefined where they are different cards. */
function asModule(same: readonly NamedCard[]): GpuSpec | undefined {
  const names = new Set(same.map(({ spec }) => spec.card.replace(/ (SXM\d?|PCIe)\b/, '')))
  return names.size === 1 ? same.find(({ spec }) => / SXM/.test(spec.card))?.spec : undefined
}

/** Whether a text is a card's whole name: `7900xtx` is, and no 7900 of anything. */
export function isCard(name: string): boolean {
  return cards.some(({ keys }) => keys.includes(squashed(name)))
}

/** Those sold with so much memory; where none was, all: boards are sold with other memory than their maker gave them. */
function ofSize(likely: readonly NamedCard[], memoryGiB: number | undefined): readonly NamedCard[] {
  if (memoryGiB === undefined) return likely
  const sizes = ({ vramGiB, otherVramGiB }: GpuSpec) => [vramGiB, ...otherVramGiB]
  const exact = likely.filter(({ spec }) => sizes(spec).includes(memoryGiB))
  if (exact.length > 0) return exact
  const shared = likely.filter(({ spec }) => spec.sharedMemory && spec.vramGiB >= memoryGiB)
  return shared.length > 0 ? shared.slice(0, 1) : likely
}

function refusal(name: string, likely: readonly NamedCard[]): string {
  const names = (some: readonly NamedCard[]) =>
    some
      .slice(0, mostSuggestions)
      .map(({ spec }) => spec.card)
      .join(', ')
  if (likely.length > 1)
    return `"${name}" may be any of ${names(likely)}: write which one, or its GiB behind a colon`
  const digits = /\d{2,}/.exec(name)?.[0]
  const near =
    digits === undefined ? [] : cards.filter(({ keys }) => keys.some((key) => key.includes(digits)))
  const hint =
    near.length > 0
      ? `is it one of ${names(near)}?`
      : 'cards are written as in 2x4090, rx7900xtx, H100 or M2 Ultra:192'
  return `"${name}" is not in the table of cards: ${hint}`
}
