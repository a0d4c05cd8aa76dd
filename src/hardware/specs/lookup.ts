import type { DeviceReading } from '../contract.ts'
import { idInName, matchName, type NameMatch } from './names.ts'
import { type GpuSpec, specTable } from './table.ts'

/** What is known of a card before the table is asked; a `DeviceReading` or a `Device` will do. */
export type CardTraits = Pick<
  DeviceReading,
  | 'vendor'
  | 'name'
  | 'pciDeviceId'
  | 'kind'
  | 'partitionProfile'
  | 'memoryTotalBytes'
  | 'computeUnits'
  | 'computeCapability'
  | 'gfx'
>

const gib = 1024 ** 3

/** Tools report the memory without what ECC (1/16 of GDDR6) and the driver keep for themselves, never much more. */
const leastShare = 0.88
const mostShare = 1.04

/** Modules whose smaller kin, slower ones, bear the same name and id: nothing is said of them without their memory. */
const sizesUnderOneName = new Set(['Jetson AGX Orin 64GB', 'Jetson AGX Thor'])

/**
 * The card's row in the specification table. Its PCI id counts first, then its name; where several cards bear the same,
 * memory, core count and target decide. Undefined where the table does not have it, or more than one row remains: a
 * wrong row would be worse than none.
 */
export function specOf(card: CardTraits): GpuSpec | undefined {
  const match = matchName(card.vendor, card.name)
  const pool = candidates(card, match).filter((spec) => agrees(spec, card, match.memoryGiB))
  const byName = pool.filter((spec) => match.specs.includes(spec))
  const fits = byName.length > 0 ? byName : pool
  return fits.length === 1 ? fits[0] : undefined
}

function candidates(card: CardTraits, match: NameMatch): readonly GpuSpec[] {
  const id = card.pciDeviceId ?? idInName(card.name)
  const byId = specTable.filter(
    (spec) => spec.vendor === card.vendor && id !== undefined && spec.pciDeviceIds.includes(id),
  )
  if (byId.length === 0) return match.others && card.memoryTotalBytes === undefined ? [] : match.specs
  const both = byId.filter((spec) => match.specs.includes(spec))
  if (match.exact && both.length > 0) return both
  // AMD gives one id to all cards of a chip, also to those that the table does not have.
  return match.exact && match.specific && card.vendor === 'amd' ? [] : byId
}

function agrees(spec: GpuSpec, card: CardTraits, namedGiB: number | undefined): boolean {
  if (differs(spec.gfx, card.gfx && targetOf(card.gfx))) return false
  if (differs(spec.computeCapability, card.computeCapability)) return false
  if (namedGiB !== undefined && ![spec.vramGiB, ...spec.otherVramGiB].includes(namedGiB)) return false
  return card.kind === 'partition' || (coresAgree(spec, card.computeUnits) && memoryAgrees(spec, card))
}

function differs(known: string | undefined, told: string | undefined): boolean {
  return known !== undefined && told !== undefined && known !== told
}

/** `gfx942` of `gfx942:sramecc+:xnack-`. */
function targetOf(gfx: string): string {
  return gfx.toLowerCase().split(':')[0] ?? gfx
}

/** A card of CDNA 3 or 4 that is cut into partitions may show the cores of one. */
function coresAgree(spec: GpuSpec, cores: number | undefined): boolean {
  if (cores === undefined || cores <= 0 || spec.cores.length === 0) return true
  const divisible = /^CDNA[34]/.test(spec.architecture) && spec.cores.some((all) => all % cores === 0)
  return divisible || spec.cores.includes(cores)
}

function memoryAgrees(spec: GpuSpec, { memoryTotalBytes }: CardTraits): boolean {
  if (memoryTotalBytes === undefined) return !sizesUnderOneName.has(spec.card)
  const told = memoryTotalBytes / gib
  if (spec.vendor === 'apple') return told <= spec.vramGiB * mostShare
  // What a firmware carves out of the host's memory for an AMD APU may be anything from 512 MiB up.
  if (spec.vendor === 'amd' && spec.sharedMemory) return true
  return [spec.vramGiB, ...spec.otherVramGiB].some(
    (size) => told >= size * leastShare && told <= size * mostShare,
  )
}
