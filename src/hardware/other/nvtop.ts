import type { DeviceProcess, DeviceReading, OutputReader, Vendor } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { bytesOf, numberOf, present, ratioOf, textOf } from '../units.ts'

const tool = 'nvtop -s'

type Fields = Readonly<Record<string, unknown>>

/** The list that the text holds; undefined where it is no JSON of that form. */
function parseList(text: string): Fields[] | undefined {
  try {
    const json: unknown = JSON.parse(text)
    if (!Array.isArray(json)) return undefined
    return json.filter((entry): entry is Fields => typeof entry === 'object' && entry !== null)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** nvtop writes every value as text, and null for one that the card does not tell. */
function cell(fields: Fields, key: string): string | undefined {
  const value = fields[key]
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' ? textOf(value) : undefined
}

function vendorOf(name: string): Vendor {
  if (/nvidia|geforce|quadro|tesla|\brtx\b|\bgtx\b/i.test(name)) return 'nvidia'
  if (/\bamd\b|radeon|instinct|\bati\b/i.test(name)) return 'amd'
  if (/intel|\barc\b|iris/i.test(name)) return 'intel'
  return /apple/i.test(name) ? 'apple' : 'other'
}

/** `48C`, or `118F` where nvtop is set to it. */
function temperatureOf(text: string | undefined): number | undefined {
  const value = numberOf(text)
  return value !== undefined && /F\s*$/i.test(text ?? '') ? ((value - 32) * 5) / 9 : value
}

/** `45%` or `1200RPM`; `CPU Fan` stands for none. */
function fanOf(text: string | undefined): Pick<NonNullable<DeviceReading['sensors']>, 'fanRatio' | 'fanRpm'> {
  if (/^\d+(\.\d+)?\s*%$/.test(text ?? '')) return present({ fanRatio: ratioOf(text) })
  return /^\d+\s*RPM$/i.test(text ?? '') ? present({ fanRpm: numberOf(text) }) : {}
}

const kinds: Readonly<Record<string, DeviceProcess['kind']>> = {
  compute: 'compute',
  graphic: 'graphics',
  graphics: 'graphics',
  both: 'both',
  'graphic & compute': 'both',
}

function processesOf(list: unknown): DeviceProcess[] | undefined {
  if (!Array.isArray(list)) return undefined
  return list.flatMap((entry) => {
    const fields: Fields = typeof entry === 'object' && entry !== null ? entry : {}
    const pid = numberOf(cell(fields, 'pid'))
    if (pid === undefined || !Number.isInteger(pid) || pid <= 0) return []
    const memoryBytes = bytesOf(cell(fields, 'gpu_mem_bytes_alloc'), 'b')
    return [
      present({ pid, name: cell(fields, 'cmdline'), memoryBytes, kind: kinds[cell(fields, 'kind') ?? ''] }),
    ]
  })
}

function readCard(fields: Fields, index: number): DeviceReading {
  const name = cell(fields, 'device_name')
  const memoryTotalBytes = bytesOf(cell(fields, 'mem_total'), 'b')
  const memoryUsedBytes = bytesOf(cell(fields, 'mem_used'), 'b')
  return present({
    vendor: vendorOf(name ?? ''),
    source: 'nvtop',
    index,
    name,
    memoryTotalBytes,
    memoryFreeBytes: bytesOf(cell(fields, 'mem_free'), 'b'),
    // Its `mem_util` is the share of memory that is taken, not of time, and says no more than `mem_used`.
    sensors: present({
      utilization: ratioOf(cell(fields, 'gpu_util')),
      memoryTotalBytes,
      memoryUsedBytes,
      temperatureC: temperatureOf(cell(fields, 'temp')),
      powerWatts: numberOf(cell(fields, 'power_draw')),
      graphicsClockMhz: numberOf(cell(fields, 'gpu_clock')),
      memoryClockMhz: numberOf(cell(fields, 'mem_clock')),
      ...fanOf(cell(fields, 'fan_speed')),
      processes: processesOf(fields['processes']),
    }),
  })
}

/** `nvtop -s`: JSON of the cards of all vendors, which tells neither address nor UUID. */
export const nvtopReader: OutputReader = {
  tool,
  matches: (text) =>
    /^\s*\[/.test(text) &&
    /"device_name"\s*:/.test(text) &&
    /"(?:gpu_clock|mem_clock|gpu_util)"\s*:/.test(text),
  read(text) {
    const list = parseList(text)
    if (list === undefined) return refused('the JSON is cut short, or no list of cards')
    const cards = list.filter((entry) => typeof entry['device_name'] === 'string')
    return readingOf(tool, { devices: cards.map(readCard) })
  },
}
