import type { DeviceProcess, OutputReader, ReadResult, Sensors } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { numberOf, present } from '../units.ts'
import { type Fields, fieldsOf, parseJson, textIn } from './json.ts'

/** The tool looks at one card and does not say which. */
function described(tool: string, sensors: Sensors, notes: string[] = []): ReadResult {
  return readingOf(tool, { devices: [{ vendor: 'intel', source: 'intel_gpu_top', sensors }], notes })
}

/** The busiest engine's share: what runs on one engine alone still keeps the card busy. */
function busiest(percents: readonly (number | undefined)[]): number | undefined {
  const told = percents.filter((percent) => percent !== undefined && percent >= 0)
  return told.length > 0 ? Math.min(Math.max(...told.map(Number)), 100) / 100 : undefined
}

const positive = (text: string | undefined) => {
  const value = numberOf(text)
  return value === undefined || value < 0 ? undefined : value
}

/**
 * The last whole object of a stream that begins with one or two `[`, parts its objects by commas (some versions by
 * nothing) and never ends.
 */
function lastObject(text: string): unknown {
  let end = text.lastIndexOf('}')
  for (let tries = 0; end >= 0 && tries < 50; tries += 1) {
    const start = startOf(text, end)
    const found = start === undefined ? undefined : parseJson(text.slice(start, end + 1))
    if (fieldsOf(found)?.['engines'] !== undefined) return found
    end = text.lastIndexOf('}', end - 1)
  }
  return undefined
}

/** Where the object that ends at `end` begins, at the outer level of the stream: at a line's start or behind `[` or `,`. */
function startOf(text: string, end: number): number | undefined {
  let depth = 0
  for (let at = end; at >= 0; at -= 1) {
    if (text[at] === '}') depth += 1
    if (text[at] === '{') depth -= 1
    if (depth === 0) return at
  }
  return undefined
}

function readStream(text: string): ReadResult {
  const object = fieldsOf(lastObject(text))
  if (object === undefined) return refused('the stream holds no whole measurement yet')
  const engines = Object.values(fieldsOf(object['engines']) ?? {})
  const processes = processesIn(object['clients'])
  return described(
    'intel_gpu_top -J',
    present({
      utilization: busiest(engines.map((engine) => numberOf(textIn(fieldsOf(engine), 'busy')))),
      graphicsClockMhz: positive(textIn(fieldsOf(object['frequency']), 'actual')),
      powerWatts: positive(textIn(fieldsOf(object['power']), 'GPU')),
      processes: object['clients'] === undefined ? undefined : processes,
    }),
  )
}

function processesIn(clients: unknown): DeviceProcess[] {
  return Object.values(fieldsOf(clients) ?? {}).flatMap((entry) => {
    const client = fieldsOf(entry)
    const pid = positive(textIn(client, 'pid'))
    if (pid === undefined || pid === 0) return []
    return [present({ pid, name: textIn(client, 'name'), memoryBytes: memoryIn(client?.['memory']) })]
  })
}

/** Bytes that are in the memory of any region now. */
function memoryIn(regions: unknown): number | undefined {
  const held = Object.values(fieldsOf(regions) ?? {}).map((region) =>
    positive(textIn(fieldsOf(region) as Fields | undefined, 'resident', 'total')),
  )
  const told = held.filter((bytes) => bytes !== undefined)
  return told.length > 0 ? told.reduce((sum, bytes) => sum + bytes, 0) : undefined
}

/** `intel_gpu_top -J`: a stream of measurements, of which the last whole one counts. */
export const gpuTopJsonReader: OutputReader = {
  tool: 'intel_gpu_top -J',
  matches: (text) =>
    /^[\s[]*\{/.test(text) && /"engines"\s*:/.test(text) && /"(?:rc6|frequency|period)"\s*:/.test(text),
  read: readStream,
}

/** The two lines above the figures: groups, then what stands below each. */
const headings = /^[ \t]*Freq MHz\b.*\r?\n\s*req\s+act\b.*$/m

function readText(text: string): ReadResult {
  const found = headings.exec(text)
  if (!found) return refused('the two lines that name the columns are missing')
  const [groups = '', names = ''] = found[0].split(/\r?\n/)
  const columns = names.trim().split(/\s+/)
  const rows = text
    .slice(found.index + found[0].length)
    .split(/\r?\n/)
    .map((line) => line.trim().split(/\s+/))
    .filter((cells) => cells.length === columns.length && cells.every((cell) => numberOf(cell) !== undefined))
  const last = rows.at(-1)
  if (last === undefined) return refused('no row of figures stands below the columns')
  const at = (name: string) => (columns.includes(name) ? positive(last[columns.indexOf(name)]) : undefined)
  // The first percentage is that of RC6, the sleep of the card; each engine brings one more.
  const percents = columns.flatMap((name, column) => (name === '%' ? [numberOf(last[column])] : []))
  const sensors = present({
    utilization: busiest(/\bRC6\b/.test(groups) ? percents.slice(1) : percents),
    graphicsClockMhz: at('act'),
    powerWatts: at('gpu'),
  })
  return described(
    'intel_gpu_top -l',
    sensors,
    rows.length > 1 ? [`of ${rows.length} rows the last counts`] : [],
  )
}

/** `intel_gpu_top -l`: lines of figures below two lines of headings; the last one counts. */
export const gpuTopTextReader: OutputReader = {
  tool: 'intel_gpu_top -l',
  matches: (text) => headings.test(text),
  read: readText,
}
