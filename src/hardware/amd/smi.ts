import type { DeviceReading, OutputReader, PlaceReading, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { readCard, readPlace } from './smi-card.ts'
import { at, isTree, jsonOf, type Tree, textAt, treeOfReport, treesOf } from './tree.ts'

/** Which command prints a block, the most telling first. */
const blocks: readonly (readonly [command: string, names: readonly string[]])[] = [
  [
    'static',
    ['asic', 'bus', 'vbios', 'ifwi', 'limit', 'driver', 'board', 'vram', 'ras', 'numa', 'cache_info'],
  ],
  ['metric', ['usage', 'power', 'temperature', 'pcie', 'ecc', 'ecc_blocks', 'mem_usage', 'throttle', 'fan']],
  ['metric', ['gpuboard', 'baseboard', 'energy', 'voltage']],
  ['process', ['process_info', 'process_list']],
  [
    'monitor',
    ['power_usage', 'hotspot_temperature', 'gpu_temperature', 'gfx_clk', 'gfx_clock', 'gfx', 'vram_used'],
  ],
  ['list', ['kfd_id', 'uuid', 'hip_uuid', 'bdf']],
  ['static', ['partition', 'clock', 'soc_pstate', 'xgmi_plpd', 'process_isolation']],
]

/** The command whose output a card's tree comes from; undefined where it holds none of what Drover knows. */
function commandOf(card: Tree): string | undefined {
  // Only the metrics have a clock for each die.
  if (isTree(card['clock']) && Object.keys(card['clock']).some((key) => /^gfx/.test(key))) return 'metric'
  return blocks.find(([, names]) => names.some((name) => Object.hasOwn(card, name)))?.[0]
}

function readCards(cards: readonly Tree[], notes: string[]): ReadResult {
  const devices: DeviceReading[] = []
  const places: PlaceReading[] = []
  let command: string | undefined
  for (const card of cards) {
    const own = commandOf(card)
    if (own === undefined || textAt(card, 'gpu') === undefined) continue
    command ??= own
    devices.push(readCard(card, `amd-smi ${own}`))
    const place = readPlace(card)
    if (place) places.push(place)
  }
  if (command === undefined) return refused('amd-smi told of no GPU in it, or nothing that is known of one')
  return readingOf(`amd-smi ${command}`, { devices, places, notes })
}

/** The cards of an `amd-smi … --json`: a list up to ROCm 6, within `gpu_data` from 7.0 on. */
export function cardsOfJson(text: string): Tree[] | undefined {
  const json = jsonOf(text)
  if (json === undefined) return undefined
  return treesOf(isTree(json) && at(json, 'gpu_data') !== undefined ? at(json, 'gpu_data') : json)
}

/** `amd-smi static|list|metric|process|monitor --json`. */
export const smiJsonReader: OutputReader = {
  tool: 'amd-smi --json',
  matches: (text) => /^[ \t]*[[{]/m.test(text) && /"gpu(_data)?"\s*:/.test(text),
  read(text) {
    const cards = cardsOfJson(text)
    if (cards === undefined) return refused('no JSON: it ends too early, or something was printed into it')
    return readCards(cards, [])
  },
}

/** `amd-smi static|list|metric|process` as text. */
export const smiReportReader: OutputReader = {
  tool: 'amd-smi',
  matches: (text) =>
    /^[ \t]*(GPU|CPU|CORE): \d+\s*$/m.test(text) || /^[ \t]+(MIN_CLK|DEEP_SLEEP): /m.test(text),
  read(text) {
    const { blocks: found, cut } = treeOfReport(text)
    if (found.length > 0 && found.every(({ key }) => key === 'cpu' || key === 'core')) {
      return refused('these are figures of processors (EPYC) and not of GPUs')
    }
    const cards = found.flatMap(({ key, heading, body }) =>
      key === 'gpu' ? [{ ...body, gpu: heading }] : [],
    )
    if (cards.length === 0) return refused('the lines that say which GPU it is ("GPU: 0") are missing')
    return readCards(cards, cut ? ['the text was shortened with "...": not all is in it'] : [])
  },
}
