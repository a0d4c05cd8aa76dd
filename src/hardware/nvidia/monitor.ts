import type { DeviceProcess, DeviceReading, OutputReader, ReadResult, Sensors } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { bytesOf, numberOf, present, ratioOf } from '../units.ts'
import { processOf } from './card.ts'

type Row = ReadonlyMap<string, string>

const isHeader = (line: string): boolean => /^#\s*(\S+\s+)*gpu\s/i.test(line)

/**
 * The rows of a table that nvidia-smi prints over and over (`dmon`, `pmon`), by the names of its `#` header. The last
 * column takes what is left of a line: names of programs have blanks.
 */
function rowsOf(text: string): { columns: string[]; rows: Row[] } {
  let columns: string[] = []
  const rows: Row[] = []
  for (const line of text.split(/\r?\n/)) {
    if (isHeader(line)) columns = line.replace(/^#\s*/, '').trim().toLowerCase().split(/\s+/)
    if (line.startsWith('#') || columns.length === 0) continue
    const words = line.trim().split(/\s+/)
    if (words.length < columns.length || !/^\d+$/.test(words[columns.indexOf('gpu')] ?? '')) continue
    const last = words.slice(columns.length - 1).join(' ')
    rows.push(
      new Map(columns.map((column, at) => [column, at === columns.length - 1 ? last : (words[at] ?? '')])),
    )
  }
  return { columns, rows }
}

const hasColumn = (text: string, column: string): boolean =>
  text.split('\n', 30).some((line) => isHeader(line) && line.toLowerCase().split(/\s+/).includes(column))

const dmon = 'nvidia-smi dmon'
const pmon = 'nvidia-smi pmon'

/** `nvidia-smi dmon`: the last look at each card. */
export const dmonReader: OutputReader = {
  tool: dmon,
  matches: (text) => text.split('\n', 30).some(isHeader) && !hasColumn(text, 'pid'),
  read(text): ReadResult {
    const { rows } = rowsOf(text)
    const latest = new Map(rows.map((row) => [numberOf(row.get('gpu')), row]))
    const devices: DeviceReading[] = [...latest].map(([index, row]) =>
      present({ vendor: 'nvidia' as const, source: dmon, index, sensors: lookOf(row) }),
    )
    return devices.length === 0
      ? refused(`${dmon}: there is no row below the header`)
      : readingOf(dmon, { devices })
  },
}

function lookOf(row: Row): Sensors {
  return present({
    powerWatts: numberOf(row.get('pwr')),
    temperatureC: numberOf(row.get('gtemp') ?? row.get('temp')),
    memoryTemperatureC: numberOf(row.get('mtemp')),
    utilization: ratioOf(row.get('sm')),
    memoryUtilization: ratioOf(row.get('mem')),
    memoryClockMhz: numberOf(row.get('mclk')),
    graphicsClockMhz: numberOf(row.get('pclk')),
    memoryUsedBytes: bytesOf(row.get('fb'), 'MiB'),
    pcieReplays: numberOf(row.get('rerun') ?? row.get('pci')),
  })
}

/** `nvidia-smi pmon`: the processes of the last look. */
export const pmonReader: OutputReader = {
  tool: pmon,
  matches: (text) => hasColumn(text, 'pid'),
  read(text): ReadResult {
    const { rows } = rowsOf(text)
    if (rows.length === 0) return refused(`${pmon}: there is no row below the header`)
    const byCard = Map.groupBy(lastLook(rows), (row) => numberOf(row.get('gpu')))
    const devices: DeviceReading[] = [...byCard].map(([index, own]) => {
      const processes = own
        .map((row) =>
          processOf(row.get('pid'), row.get('command') ?? row.get('name'), row.get('type'), row.get('fb')),
        )
        .filter((process): process is DeviceProcess => process !== undefined)
      return present({ vendor: 'nvidia' as const, source: pmon, index, sensors: { processes } })
    })
    return readingOf(pmon, { devices })
  },
}

/** A look begins anew where a card with the same process, or a card of a lower number, is listed again. */
function lastLook(rows: readonly Row[]): Row[] {
  let look: Row[] = []
  let seen = new Set<string>()
  let highest = -1
  for (const row of rows) {
    const gpu = numberOf(row.get('gpu')) ?? 0
    const key = `${gpu} ${row.get('pid')}`
    if (gpu < highest || seen.has(key)) {
      look = []
      seen = new Set()
    }
    highest = gpu
    seen.add(key)
    look.push(row)
  }
  return look
}
