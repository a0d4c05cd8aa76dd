import type { DeviceReading, OutputReader, PlaceReading, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { textOf } from '../units.ts'
import { cardAddressOf } from './identity.ts'
import { endOfLabel, linksOfWays, readTables, type Way, wayKey, waysOfTables } from './matrix.ts'
import { type Facts, readRocmCard, rocmKeyOf, rocmPlace } from './rocm-card.ts'
import { readConcise } from './rocm-tables.ts'

/** `rocm-smi … --json`: a block of named texts for each card, and one for the machine. */
export const rocmJsonReader: OutputReader = {
  tool: 'rocm-smi --json',
  matches: (text) => /^[ \t]*\{/m.test(text) && /"card\d+"\s*:\s*\{/.test(text),
  read(text) {
    const blocks = parseBlocks(text)
    if (blocks === undefined) return refused('no JSON: it ends too early, or something was printed into it')
    const cards = new Map<number, Facts>()
    for (const [name, facts] of blocks) {
      const [, index] = /^card(\d{1,4})$/.exec(name) ?? []
      if (index !== undefined) cards.set(Number(index), facts)
    }
    const system = blocks.get('system') ?? new Map()
    return describe('rocm-smi --json', cards, system)
  },
}

/** Names keep their letters' case here, which `Tree` does not. */
function parseBlocks(text: string): Map<string, Facts> | undefined {
  const start = text.indexOf('{')
  try {
    const json: unknown = JSON.parse(text.slice(start, text.lastIndexOf('}') + 1))
    if (typeof json !== 'object' || json === null) return undefined
    return new Map(Object.entries(json).map(([name, block]) => [name, factsOf(block)]))
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function factsOf(block: unknown): Facts {
  if (typeof block !== 'object' || block === null) return new Map()
  const texts = Object.entries(block).filter(
    ([, value]) => typeof value === 'string' || typeof value === 'number',
  )
  // `sclk clock level:` holds a level, `sclk clock level` the clock too: the longer text says more.
  const facts = new Map<string, string>()
  for (const [name, value] of texts) {
    const [key, words] = [rocmKeyOf(name), String(value)]
    if (words.length >= (facts.get(key)?.length ?? 0)) facts.set(key, words)
  }
  return facts
}

function describe(
  tool: string,
  cards: ReadonlyMap<number, Facts>,
  system: Facts,
  notes: string[] = [],
): ReadResult {
  if (cards.size === 0) return refused('rocm-smi told of no card in it')
  const driverVersion = textOf(system.get('driver version'))
  const places: PlaceReading[] = [...cards].flatMap(([index, facts]) => rocmPlace(index, facts) ?? [])
  return readingOf(tool, {
    devices: [...cards].map(([index, facts]) => readRocmCard(tool, index, facts, driverVersion)),
    links: linksOfSystem(system, places),
    places,
    notes,
  })
}

const fields: Readonly<Record<string, keyof Way>> = { weight: 'weight', hops: 'hops', 'link type': 'type' }

/** `(Topology) Weight between DRM devices 0 and 1`. */
function linksOfSystem(system: Facts, places: readonly PlaceReading[]) {
  const ways = new Map<string, Way>()
  const labels = new Set<string>()
  for (const [name, value] of system) {
    const [, what = '', from, to] = /^\(topology\) (.+) between drm devices (\d+) and (\d+)$/.exec(name) ?? []
    const field = fields[what]
    if (field === undefined || from === undefined || to === undefined) continue
    ways.set(wayKey(`GPU${from}`, `GPU${to}`), {
      ...ways.get(wayKey(`GPU${from}`, `GPU${to}`)),
      [field]: value,
    })
    labels.add(`GPU${from}`).add(`GPU${to}`)
  }
  return linksOfWays([...labels], ways, endOfLabel, numaIn(places))
}

function numaIn(places: readonly PlaceReading[]) {
  return ({ index }: { index?: number }) => places.find((place) => place.index === index)?.numaNode
}

/** `rocm-smi … --csv`: a header and a line for each card, once for each kind of figures that was asked for. */
export const rocmCsvReader: OutputReader = {
  tool: 'rocm-smi --csv',
  matches: (text) => /^device,.*/m.test(text) && /^card\d+,/m.test(text),
  read(text) {
    const cards = new Map<number, Map<string, string>>()
    let names: string[] = []
    for (const line of text.split('\n')) {
      const cells = splitCsv(line.trim())
      const [first = ''] = cells
      const [, index] = /^card(\d{1,4})$/.exec(first) ?? []
      if (first === 'device') names = cells.map(rocmKeyOf)
      if (index === undefined) continue
      if (cells.length !== names.length) {
        return refused(`${first} has ${cells.length} cells under ${names.length} names: a cell holds a comma`)
      }
      const facts = cards.get(Number(index)) ?? new Map<string, string>()
      for (const [column, name] of names.entries()) facts.set(name, cells[column] ?? '')
      cards.set(Number(index), facts)
    }
    return describe('rocm-smi --csv', cards, new Map())
  },
}

function splitCsv(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain = '']) => quoted?.replaceAll('""', '"') ?? plain,
  )
}

/** `rocm-smi` as text: tables for people, lines of `GPU[0] : name: value`, and matrices of ways. */
export const rocmTextReader: OutputReader = {
  tool: 'rocm-smi',
  matches: (text) =>
    /ROCm System Management Interface|= (Numa Nodes|Concise (Hardware )?Info|Product Info) =|between two GPUs =/.test(
      text,
    ) || /^GPU(\[\d+\][ \t]*| \d+ {2,}): .+: /m.test(text),
  read(text) {
    const cards = linesOf(text)
    const system = new Map<string, string>()
    const driver = /^Driver version:\s*(\S+)/m.exec(text)?.[1]
    if (driver !== undefined) system.set('driver version', driver)
    const { tables, cut } = readTables(text)
    const { labels, ways } = waysOfTables(tables)
    for (const label of labels) touch(cards, endOfLabel(label).index)
    const concise = readConcise(text)
    for (const { index } of concise) touch(cards, index)
    const notes = cut.map((title) => `the table "${title}" ends too early: ways are missing`)
    if (/^[ \t]*\.{3}\s*$/m.test(text)) notes.push('the text was shortened with "...": cards are missing')
    const described = describe('rocm-smi', cards, system, notes)
    if (!described.ok) return described
    const { reading } = described
    reading.links.push(...linksOfWays(labels, ways, endOfLabel, numaIn(reading.places)))
    reading.devices = withFunctions(reading.devices.map((device) => withConcise(device, concise)))
    return described
  },
}

function touch(cards: Map<number, Map<string, string>>, index: number | undefined): void {
  if (index !== undefined && !cards.has(index)) cards.set(index, new Map())
}

/** `GPU[3]		: Card series: 		AMD Instinct MI300X OAM`, `GPU 3          : GPU use (%): 0`. */
function linesOf(text: string): Map<number, Map<string, string>> {
  const cards = new Map<number, Map<string, string>>()
  for (const [, index, name = '', value = ''] of text.matchAll(
    /^GPU ?\[?(\d{1,4})\]?[ \t]*: ([^:\n]+(?::(?= *\())?[^:\n]*):[ \t]+([^\n]+)$/gm,
  )) {
    const facts = cards.get(Number(index)) ?? new Map<string, string>()
    const key = rocmKeyOf(name)
    if (!facts.has(key)) facts.set(key, value.trim())
    cards.set(Number(index), facts)
  }
  return cards
}

/** What the tables for people add to the lines; of the same figure the lines are finer. */
function withConcise(device: DeviceReading, concise: readonly DeviceReading[]): DeviceReading {
  const row = concise.find(({ index }) => index === device.index)
  if (!row) return device
  const sensors = { ...row.sensors, ...device.sensors }
  return { ...row, ...device, ...(Object.keys(sensors).length > 0 && { sensors }) }
}

/** Several numbers at one card: its partitions, which ROCm 6.0 tells by the address's function. */
function withFunctions(devices: readonly DeviceReading[]): DeviceReading[] {
  const cards = new Map<string, number>()
  for (const { pciAddress } of devices) {
    if (pciAddress === undefined) continue
    cards.set(cardAddressOf(pciAddress), (cards.get(cardAddressOf(pciAddress)) ?? 0) + 1)
  }
  return devices.map((device): DeviceReading => {
    const card = device.pciAddress === undefined ? undefined : cardAddressOf(device.pciAddress)
    if (card === undefined || (cards.get(card) ?? 0) < 2) return device
    return { ...device, kind: 'partition', parent: { pciAddress: card } }
  })
}
