import type { DeviceReading, OutputReader, ReadResult, Sensors } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { numberOf, pciAddressOf, present } from '../units.ts'
import { errorIn, type Fields, fieldsOf, listOf, parseJson, textIn } from './json.ts'
import { indexOf, keyAndValue, tableLines } from './table.ts'
import { throttleOf, throttleReasonOf } from './throttle.ts'

/** What xpu-smi looks after in a card. */
type Part = 'core' | 'memoryTemperature' | 'power' | 'memory' | 'link' | 'frequency'

const parts: readonly { part: Part; title: RegExp; key: readonly string[] }[] = [
  { part: 'core', title: /GPU Core Temperature/i, key: ['core_temperature'] },
  { part: 'memoryTemperature', title: /GPU Memory Temperature/i, key: ['memory_temperature'] },
  { part: 'power', title: /GPU Power/i, key: ['power'] },
  { part: 'memory', title: /GPU Memory/i, key: ['memory'] },
  { part: 'link', title: /(?:Xe Link|GPU Fabric) Port/i, key: ['xe_link_port', 'fabric_port'] },
  { part: 'frequency', title: /GPU Frequency/i, key: ['frequency'] },
]

/** One part as it was told. A threshold of -1 is none. */
interface Verdict {
  part: Part
  title: string
  status?: string
  description?: string
  throttle?: string
  shutdown?: string
}

interface Card {
  id: string
  verdicts: Verdict[]
}

const limitOf = (text: string | undefined) => {
  const value = numberOf(text)
  return value === undefined || value <= 0 ? undefined : value
}

/** Memory's own thresholds have no place among the sensors: the core's are those at which the card slows down. */
function sensorsOf(verdicts: readonly Verdict[]): Sensors | undefined {
  const of = (part: Part) => verdicts.find((verdict) => verdict.part === part)
  const frequency = of('frequency')
  const sensors = present({
    slowdownC: limitOf(of('core')?.throttle),
    shutdownC: limitOf(of('core')?.shutdown),
    powerLimitWatts: limitOf(of('power')?.throttle),
    throttle: frequency && throttleIn(frequency),
  })
  return Object.keys(sensors).length > 0 ? sensors : undefined
}

function throttleIn({ status, description = '' }: Verdict): Sensors['throttle'] {
  if (status === undefined || /unknown/i.test(status)) return undefined
  if (/^ok$/i.test(status)) return []
  const [, reasons] = /throttled\s*(?:by|because of|due to)?[:\s]+(.+?)\.?$/i.exec(description) ?? []
  return throttleOf(reasons) ?? [throttleReasonOf(description)]
}

function describe(cards: readonly Card[]): ReadResult {
  if (cards.length === 0) return refused('no line "Device ID" tells whose health it is')
  const devices = cards.map(
    ({ id, verdicts }): DeviceReading =>
      present({
        vendor: 'intel' as const,
        source: 'xpu-smi',
        index: indexOf(id),
        pciAddress: pciAddressOf(id),
        sensors: sensorsOf(verdicts),
      }),
  )
  const notes = cards.flatMap(({ id, verdicts }) =>
    verdicts
      .filter(({ status }) => status !== undefined && !/^(ok|unknown)$/i.test(status))
      .map(
        ({ title, status, description }) =>
          `card ${id}: ${title} is ${status}: ${description ?? 'no reason told'}`,
      ),
  )
  return readingOf('xpu-smi health', { devices, notes })
}

function readTable(text: string): ReadResult {
  const cards: Card[] = []
  for (const cells of tableLines(text)) {
    const [label = '', cell = ''] = cells ?? []
    if (/^Device ID$/i.test(label)) {
      cards.push({ id: cell, verdicts: [] })
      continue
    }
    const card = cards.at(-1)
    const part = parts.find(({ title }) => title.test(label))?.part
    if (card && part) card.verdicts.push({ part, title: label.replace(/^\d+\.\s*/, '') })
    const verdict = card?.verdicts.at(-1)
    const told = keyAndValue(cell)
    if (verdict && told) takeLine(verdict, told)
  }
  return describe(cards)
}

function takeLine(verdict: Verdict, { key, value }: { key: string; value: string }) {
  if (/^Status$/i.test(key)) verdict.status = value
  if (/^Description$/i.test(key)) verdict.description = value
  if (/^Throttle Threshold$/i.test(key)) verdict.throttle = value
  if (/^Shutdown Threshold$/i.test(key)) verdict.shutdown = value
}

/** `xpu-smi health -l` and `-d <id>` as a table. */
export const healthTableReader: OutputReader = {
  tool: 'xpu-smi health',
  matches: (text) => /^[ \t]*\|\s*Device ID\s*\|/m.test(text) && /^[ \t]*\|.*\|\s*Status:\s/m.test(text),
  read: readTable,
}

function jsonCard(fields: Fields): Card {
  const verdicts = parts.flatMap(({ part, key }): Verdict[] => {
    const told = key.map((name) => fieldsOf(fields[name])).find((entry) => entry !== undefined)
    if (told === undefined) return []
    return [
      present({
        part,
        title: (key[0] ?? '').replaceAll('_', ' '),
        status: textIn(told, 'status'),
        description: textIn(told, 'description'),
        throttle: textIn(told, 'throttle_threshold'),
        shutdown: textIn(told, 'shutdown_threshold'),
      }),
    ]
  })
  return { id: textIn(fields, 'device_id') ?? '?', verdicts }
}

function readJson(text: string): ReadResult {
  const json = parseJson(text)
  const error = errorIn(json)
  const fields = fieldsOf(json)
  if (fields === undefined) return refused('the JSON is cut short')
  if (error !== undefined) return refused(`xpu-smi: ${error}`)
  const list = listOf(fields['device_list'])
  return describe((list.length > 0 ? list : [fields]).map(jsonCard))
}

/** `xpu-smi health -j`. */
export const healthJsonReader: OutputReader = {
  tool: 'xpu-smi health -j',
  matches: (text) =>
    /^\s*[{[]/.test(text) &&
    /"(?:core_temperature|memory_temperature|xe_link_port|fabric_port)"\s*:\s*\{/.test(text),
  read: readJson,
}
