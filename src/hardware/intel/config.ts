import type { DeviceReading, OutputReader, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { numberOf, present } from '../units.ts'
import { errorIn, fieldsOf, listOf, parseJson, textIn } from './json.ts'
import { keyAndValue, tableLines } from './table.ts'

/** What is set on a card; that of its tiles is the highest. */
interface Settings {
  index: number
  powerLimitWatts?: number
  ecc?: string
  clocksMaxMhz: number[]
}

/** A limit of 0 is none. */
const positive = (text: string | undefined) => {
  const value = numberOf(text)
  return value === undefined || value <= 0 ? undefined : value
}

function describe(tool: string, cards: Iterable<Settings>): ReadResult {
  const devices = [...cards].map(({ index, powerLimitWatts, ecc, clocksMaxMhz }): DeviceReading => {
    const sensors = present({
      powerLimitWatts,
      graphicsClockMaxMhz: clocksMaxMhz.length > 0 ? Math.max(...clocksMaxMhz) : undefined,
      ecc: /^(enabled|disabled)$/i.test(ecc ?? '') ? { enabled: /^enabled$/i.test(ecc ?? '') } : undefined,
    })
    return { vendor: 'intel', source: 'xpu-smi', index, sensors }
  })
  return devices.length > 0 ? readingOf(tool, { devices }) : refused('no line tells which card is set so')
}

function readTable(text: string): ReadResult {
  const cards = new Map<number, Settings>()
  let card: Settings | undefined
  let heading = ''
  for (const cells of tableLines(text)) {
    const [, id = '', line = ''] = cells ?? []
    const [, number] = /^(\d{1,5})(?:\/\d{1,5})?$/.exec(id) ?? []
    if (number !== undefined) {
      const index = Number(number)
      card = cards.get(index) ?? { index, clocksMaxMhz: [] }
      cards.set(index, card)
    }
    const told = keyAndValue(line)
    if (card === undefined || told === undefined) continue
    if (told.value === '') heading = told.key
    if (/^Current$/i.test(told.key) && heading === 'Memory ECC') card.ecc = told.value
    takeLine(card, told)
  }
  return describe('xpu-smi config', cards.values())
}

function takeLine(card: Settings, { key, value }: { key: string; value: string }) {
  const figure = positive(value)
  if (figure === undefined) return
  if (/^Power Limit\b/i.test(key)) card.powerLimitWatts = figure
  if (/^GPU Max Frequency\b/i.test(key)) card.clocksMaxMhz.push(figure)
}

/** `xpu-smi config -d <id>` as a table. */
export const configTableReader: OutputReader = {
  tool: 'xpu-smi config',
  matches: (text) =>
    /^[ \t]*\|\s*Device Type\s*\|\s*Device ID\/Tile ID\s*\|\s*Configuration\s*\|/m.test(text),
  read: readTable,
}

function readJson(text: string): ReadResult {
  const json = fieldsOf(parseJson(text))
  if (json === undefined) return refused('the JSON is cut short')
  const error = errorIn(json)
  if (error !== undefined) return refused(`xpu-smi: ${error}`)
  const index = numberOf(textIn(json, 'device_id'))
  if (index === undefined) return refused('"device_id" is missing: it is not told whose settings these are')
  const tiles = listOf(json['tile_config_data'])
  const settings = present({
    index,
    powerLimitWatts: positive(textIn(json, 'power_limit')),
    ecc: textIn(json, 'memory_ecc_current_state'),
    clocksMaxMhz: tiles.flatMap((tile) => positive(textIn(tile, 'max_frequency')) ?? []),
  })
  return describe('xpu-smi config -j', [settings])
}

/** `xpu-smi config -d <id> -j`. */
export const configJsonReader: OutputReader = {
  tool: 'xpu-smi config -j',
  matches: (text) =>
    /^\s*\{/.test(text) && /"(?:tile_config_data|power_limit|memory_ecc_current_state)"\s*:/.test(text),
  read: readJson,
}
