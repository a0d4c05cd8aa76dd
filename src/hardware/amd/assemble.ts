/** Many looks at the same cards made one: the kernel's two folders, and what a tool adds to them. */
import type { DeviceReading, LinkReading } from '../contract.ts'
import { cardAddressOf } from './identity.ts'
import type { KfdNode } from './kfd.ts'

/** Whole cards, each once, and the partitions of those that are cut. */
export interface Cards {
  cards: DeviceReading[]
  partitions: DeviceReading[]
  /** What a tool told of and the kernel does not show. */
  strays: DeviceReading[]
}

/**
 * `sysfs` and `kfd` tell which cards there are, and are believed in what they tell; `tool` adds what they do not have,
 * a name above all. Where the kernel shows nothing (not Linux, or a container without `/sys`) the tool's word is taken.
 */
export function assemble(
  sysfs: readonly DeviceReading[],
  kfd: readonly KfdNode[],
  tool: readonly DeviceReading[],
): Cards {
  const cards = [...sysfs]
  for (const reading of wholeCards(kfd)) mergeInto(cards, reading) ?? cards.push(reading)
  const kernelHas = cards.length > 0
  const parts = tool.filter(({ kind }) => kind === 'partition')
  const strays: DeviceReading[] = []
  for (const reading of [...tool.filter(({ kind }) => kind !== 'partition'), ...cardsOfParts(parts)]) {
    if (mergeInto(cards, reading)) continue
    if (kernelHas && reading.pciAddress === undefined) strays.push(reading)
    else cards.push(reading)
  }
  const fromKfd = kfd.filter(({ partition }) => partition !== undefined).map(({ reading }) => reading)
  const partitions = (fromKfd.length > 0 ? fromKfd : numbered(parts)).map((part) => withCard(part, cards))
  const cut = new Set(partitions.map(({ parent }) => parent?.pciAddress))
  return { cards: cards.map((card) => asCut(card, cut)), partitions, strays }
}

/** Partitions of one card as that card. */
function wholeCards(kfd: readonly KfdNode[]): DeviceReading[] {
  const whole = kfd.filter(({ partition }) => partition === undefined).map(({ reading }) => reading)
  const firsts = kfd.filter(({ partition }) => partition === 0)
  const cut = firsts.map(({ reading, cardAddress, uniqueId }): DeviceReading => {
    const { index: _, parent: __, kind: ___, uuid: ____, ...rest } = reading
    const all = kfd.filter((node) => node.cardAddress === cardAddress && node.uniqueId === uniqueId)
    const sum = (of: (one: DeviceReading) => number | undefined) =>
      all.reduce((total, node) => total + (of(node.reading) ?? 0), 0)
    return {
      ...rest,
      ...(uniqueId !== undefined && { uuid: uniqueId }),
      pciAddress: cardAddress,
      kind: 'discrete',
      partitioned: true,
      memoryTotalBytes: sum(({ memoryTotalBytes }) => memoryTotalBytes),
      memoryFreeBytes: sum(({ memoryFreeBytes }) => memoryFreeBytes),
      computeUnits: sum(({ computeUnits }) => computeUnits),
      sensors: {},
    }
  })
  return [...whole, ...cut]
}

/** The same of a tool's partitions; what it tells of one part's size is not the card's. */
function cardsOfParts(parts: readonly DeviceReading[]): DeviceReading[] {
  const cards = new Map<string, DeviceReading>()
  for (const {
    index: _,
    parent,
    memoryTotalBytes: __,
    memoryFreeBytes: ___,
    computeUnits: ____,
    ...part
  } of parts) {
    const address = parent?.pciAddress
    if (address === undefined || cards.has(address)) continue
    const { partitionProfile: _____, ...rest } = part
    cards.set(address, { ...rest, pciAddress: address, kind: 'discrete', partitioned: true })
  }
  return [...cards.values()]
}

/** A tool's partitions under ids of their own, as KFD's have. */
function numbered(parts: readonly DeviceReading[]): DeviceReading[] {
  return parts.map(({ pciAddress: _, uuid, ...part }) => {
    const siblings = parts.filter(({ parent }) => parent?.pciAddress === part.parent?.pciAddress)
    const place = siblings.findIndex(({ index }) => index === part.index)
    return { ...part, ...(uuid !== undefined && { uuid: `${uuid}/${place}` }) }
  })
}

/** What holds for the whole card holds for its partitions. */
function withCard(part: DeviceReading, cards: readonly DeviceReading[]): DeviceReading {
  const card = cards.find(({ pciAddress }) => pciAddress === part.parent?.pciAddress)
  if (!card) return part
  const { name, gfx, driverVersion, runtime, architecture, numaNode, state, stateReason } = card
  const shared = { name, gfx, driverVersion, runtime, architecture, numaNode, state, stateReason }
  return overlay(part, shared as Partial<DeviceReading>)
}

function asCut(card: DeviceReading, cut: ReadonlySet<string | undefined>): DeviceReading {
  if (card.pciAddress === undefined || !cut.has(card.pciAddress)) return card
  const { index: _, ...rest } = card
  return { ...rest, partitioned: true }
}

/** Adds a reading to the card that it is of; undefined where there is none. */
function mergeInto(cards: DeviceReading[], reading: DeviceReading): DeviceReading | undefined {
  const at = cards.findIndex((card) => isSame(card, reading))
  const place = at >= 0 ? at : onlyOfModel(cards, reading)
  const card = cards[place]
  if (!card) return undefined
  const merged = { ...overlay(card, reading), source: `${card.source} + ${reading.source}` }
  cards[place] = merged
  return merged
}

function isSame(card: DeviceReading, reading: DeviceReading): boolean {
  if (card.pciAddress !== undefined && reading.pciAddress !== undefined) {
    return cardAddressOf(card.pciAddress) === cardAddressOf(reading.pciAddress)
  }
  return card.uuid !== undefined && card.uuid === reading.uuid
}

/** A tool that tells no address: the card of its PCI id that it has not told of yet, in the order of both. */
function onlyOfModel(cards: readonly DeviceReading[], reading: DeviceReading): number {
  const { pciDeviceId, pciAddress, uuid, source } = reading
  if (pciAddress !== undefined || pciDeviceId === undefined) return -1
  return cards.findIndex(
    (card) =>
      card.pciDeviceId === pciDeviceId &&
      !card.source.includes(source) &&
      (uuid === undefined || card.uuid === undefined || uuid === card.uuid),
  )
}

/** `base`, with what it does not have from `more`; of links, sensors and error counts each figure by itself. */
export function overlay(base: DeviceReading, more: Partial<DeviceReading>): DeviceReading {
  const told = Object.fromEntries(Object.entries(more).filter(([, value]) => value !== undefined))
  const merged: DeviceReading = { ...told, ...base }
  const sensors = { ...more.sensors, ...base.sensors }
  if (more.sensors?.ecc && base.sensors?.ecc) sensors.ecc = { ...more.sensors.ecc, ...base.sensors.ecc }
  if (Object.keys(sensors).length > 0) merged.sensors = sensors
  if (more.pcie && base.pcie) merged.pcie = { ...more.pcie, ...base.pcie }
  return merged
}

/** Links of several sources, each pair of ends once: the first that knows the class, with the others' figures. */
export function mergeLinks(sources: readonly (readonly LinkReading[])[]): LinkReading[] {
  const found = new Map<string, LinkReading>()
  for (const link of sources.flat()) {
    const key = [endKey(link.a), endKey(link.b)].sort().join(' ')
    const known = found.get(key)
    if (!known) found.set(key, link)
    else if (known.class === 'unknown') found.set(key, { ...known, ...link })
    else found.set(key, { ...link, ...known })
  }
  return [...found.values()]
}

function endKey({ index, pciAddress }: LinkReading['a']): string {
  return pciAddress ?? `#${index}`
}
