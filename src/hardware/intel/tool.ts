import type { DeviceReading, HostSystem, LinkReading, PlaceReading, ProgramResult } from '../contract.ts'
import { pciAddressOf } from '../units.ts'
import { type DiscoveredCard, discoveredCards } from './discovery.ts'
import { errorIn, parseJson } from './json.ts'
import { strongestLinks, topologyMatrixReader } from './topology.ts'

const timeoutMs = 2000

/** `xpu-smi` needs no service and is tried first; `xpumcli` is the same tool in front of one. */
const programs = ['xpu-smi', 'xpumcli']

/** What the tool tells of all cards, by their PCI addresses where it knows them. */
export interface ToolAnswer {
  devices: DeviceReading[]
  /** Tiles of each card, by PCI address; of those alone that are told. */
  tiles: Map<string, number>
  links: LinkReading[]
  places: PlaceReading[]
  problems: string[]
}

const nothing = (problems: string[] = []): ToolAnswer => ({
  devices: [],
  tiles: new Map(),
  links: [],
  places: [],
  problems,
})

/**
 * Asks xpu-smi for its cards, each card's details, and how they are joined. Without the tool nothing is told, and that
 * is no problem: the kernel's folders tell what is needed.
 *
 * @param seen the cards that are known to be there: a tool of this name by another vendor fails without them, and that
 *   is no problem either
 */
export async function askTool(system: HostSystem, seen: readonly DeviceReading[]): Promise<ToolAnswer> {
  const failures: string[] = []
  for (const program of programs) {
    const list = await system.run(program, ['discovery', '-j'], timeoutMs)
    if (list.outcome === 'missing') continue
    const cards = list.outcome === 'ok' ? discoveredCards(list.stdout) : undefined
    if (cards !== undefined) return askDetails(system, program, withoutShares(cards), seen)
    failures.push(failureOf(program, list))
  }
  const hasCards = seen.some(({ kind }) => kind !== 'integrated')
  return nothing(hasCards ? failures : [])
}

/** Shares (SR-IOV) of cards that are in the list themselves are for virtual machines. */
function withoutShares(cards: readonly DiscoveredCard[]): DiscoveredCard[] {
  const physical = cards.filter(({ isVirtual }) => !isVirtual)
  return physical.length > 0 ? physical : [...cards]
}

async function askDetails(
  system: HostSystem,
  program: string,
  cards: readonly DiscoveredCard[],
  seen: readonly DeviceReading[],
): Promise<ToolAnswer> {
  if (cards.length === 0) return nothing(noCards(program, seen))
  const matrix = system.run(program, ['topology', '-m'], timeoutMs)
  const details = await Promise.all(cards.map(({ reading }) => askCard(system, program, reading)))
  const tiles = new Map<string, number>()
  const devices = cards.map(({ reading }, at) => {
    const detail = details[at]?.card
    const count = detail?.tiles ?? cards[at]?.tiles
    if (reading.pciAddress !== undefined && count !== undefined) tiles.set(reading.pciAddress, count)
    // A UUID that the list has for more than one card is in each card's details all the same.
    const { uuid: _, ...rest } = detail?.reading ?? reading
    return { ...rest, ...reading }
  })
  const { links, places, problems } = readMatrix(program, await matrix, devices)
  return {
    devices,
    tiles,
    links,
    places,
    problems: [...details.flatMap(({ problem }) => problem ?? []), ...problems],
  }
}

async function askCard(
  system: HostSystem,
  program: string,
  { index, pciAddress }: DeviceReading,
): Promise<{ card?: DiscoveredCard; problem?: string }> {
  if (index === undefined) return {}
  const answer = await system.run(program, ['discovery', '-d', String(index), '-j'], timeoutMs)
  const card = answer.outcome === 'ok' ? discoveredCards(answer.stdout)?.[0] : undefined
  if (card !== undefined) return { card }
  const which = pciAddress === undefined ? `card ${index}` : `card ${index} (${pciAddress})`
  return { problem: `${failureOf(program, answer)} (details of ${which})` }
}

/** The matrix in the cards' addresses; it numbers them as the list does. */
function readMatrix(program: string, answer: ProgramResult, devices: readonly DeviceReading[]) {
  const none = { links: [], places: [], problems: [] }
  const read = answer.outcome === 'ok' ? topologyMatrixReader.read(answer.stdout) : undefined
  if (!read?.ok) {
    // One card has no way to another, and the first versions have no matrix.
    return devices.length > 1 ? { ...none, problems: [`${failureOf(program, answer)} (topology -m)`] } : none
  }
  const addressOf = <T extends { index?: number }>(end: T) => {
    const pciAddress = devices.find(({ index }) => index === end.index)?.pciAddress
    return pciAddress === undefined ? end : { ...end, pciAddress }
  }
  const links = strongestLinks(read.reading.links).map((link) => ({
    ...link,
    a: addressOf(link.a),
    b: addressOf(link.b),
  }))
  return { ...none, links, places: read.reading.places.map(addressOf) }
}

function noCards(program: string, seen: readonly DeviceReading[]): string[] {
  const cards = seen.filter(({ kind }) => kind === 'discrete').length
  if (cards === 0) return []
  const text = `${program} shows no card where the kernel has ${cards}: install the Level Zero driver (libze-intel-gpu1, before 2024 intel-level-zero-gpu), or let this user into the group "render"`
  return [text]
}

/** What went wrong, in the tool's words, and what to do about it. */
function failureOf(program: string, { outcome, stdout, stderr, exitCode }: ProgramResult): string {
  if (outcome === 'timeout') {
    return `${program} did not answer within ${timeoutMs} ms: its driver may hang; look in the kernel log (dmesg | grep -E "i915|xe") and reset the card or reboot`
  }
  const said = errorIn(parseJson(stdout)) ?? firstLine(stdout) ?? firstLine(stderr)
  const exit = exitCode === undefined || exitCode === 0 ? '' : ` with exit code ${exitCode}`
  return `${program} failed${exit}: ${said ?? 'it printed nothing'}; ${adviceOn(said ?? '')}`
}

const firstLine = (text: string) =>
  text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .find((line) => line !== '' && !/^[{}[\]]/.test(line))
    ?.slice(0, 200)

function adviceOn(words: string): string {
  if (/service|daemon|connect|grpc/i.test(words)) {
    return 'start its service ("sudo systemctl start xpum"), or install xpu-smi, which needs none'
  }
  if (/permission|privilege|access/i.test(words)) {
    return 'let this user into the groups "render" and "video", then log in anew'
  }
  if (/level.?zero|libze|ze_loader|shared librar/i.test(words)) {
    return 'install the Level Zero loader and driver (libze1 and libze-intel-gpu1) of the same release'
  }
  if (/no device|device not found|no gpu|not support/i.test(words) && pciAddressOf(words) === undefined) {
    return 'its driver does not see the card: install the Level Zero driver (libze-intel-gpu1) for this kernel'
  }
  return `run "${programs[0]} discovery" as root to see whether it is a matter of permission; sensors and memory are read without it`
}
