import type { DeviceProcess, DeviceReading, OutputReader, Sensors, ThrottleReason } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { bytesOf, numberOf, present } from '../units.ts'
import { bytePairOf, columnOf, type Row, readRows } from './columns.ts'
import { amdReading, filled, sensorsOf, shareOf, temperatures } from './shape.ts'

const tool = 'amd-smi monitor'

/** A line of column names in capitals, one of which only this tool has. */
const header =
  /^[ \t]*GPU [A-Z0-9_% ]{0,300}(POWER|GPU_T|MEM_T|GFX_UTIL|GFX_CL|ENC_UTIL|VRAM_US|[PT]VIOL|GFX%|VRAM%)[A-Z0-9_% ]*$/m

/** `amd-smi monitor`: one row a card (several in CPX, of which the first is the card), columns as they were asked for. */
export const monitorReader: OutputReader = {
  tool,
  matches: (text) => header.test(text) && !/ROCm System Management/.test(text),
  read(text) {
    const [table = '', processTable = ''] = text.split(/^PROCESS INFO:\s*$/m)
    const { rows, odd } = readRows(table, 'GPU')
    const cards = new Map<number, DeviceReading>()
    for (const row of rows) {
      const index = numberOf(row.get('GPU'))
      if (index !== undefined && !cards.has(index)) cards.set(index, readRow(index, row))
    }
    if (cards.size === 0) return refused('the table has no row of a card')
    addProcesses(cards, readRows(processTable, 'GPU').rows)
    const notes = [
      ...(odd > 0 ? [`${odd} rows do not fit the header and were left out`] : []),
      ...(/^[ \t]*\.{3}/m.test(text) ? ['the text was shortened with "...": cards are missing'] : []),
    ]
    return readingOf(tool, { devices: [...cards.values()], notes })
  },
}

function readRow(index: number, row: Row): DeviceReading {
  const number = (...names: string[]) => numberOf(columnOf(row, ...names))
  const usage = bytePairOf(columnOf(row, 'VRAM_USAGE'))
  const total = bytesOf(columnOf(row, 'VRAM_TOTAL'), 'MB') ?? usage.totalBytes
  const sensors: Sensors | undefined = sensorsOf({
    utilization: shareOf(number('GFX_UTIL', 'GFX%')),
    memoryUtilization: shareOf(number('MEM_UTIL', 'MEM%')),
    memoryUsedBytes: bytesOf(columnOf(row, 'VRAM_USED'), 'MB') ?? usage.usedBytes,
    memoryTotalBytes: total,
    // amd-smi shows the hottest point under this name.
    ...temperatures(undefined, number('GPU_TEMP', 'GPU_T'), number('MEM_TEMP', 'MEM_T')),
    powerWatts: number('POWER'),
    powerLimitWatts: number('PWR_CAP'),
    graphicsClockMhz: number('GFX_CLOCK', 'GFX_CLK'),
    memoryClockMhz: number('MEM_CLOCK', 'MEM_CLK'),
    throttle: throttleOfRow(row),
    ecc: filled(present({ corrected: number('SINGLE_ECC'), uncorrected: number('DOUBLE_ECC') })),
    pcieReplays: number('PCIE_REPLAY'),
  })
  const memoryFreeBytes = bytesOf(columnOf(row, 'VRAM_FREE'), 'MB')
  return amdReading(tool, { index, memoryTotalBytes: total, memoryFreeBytes, sensors })
}

/** Shares of the time in which a limit bound. */
const violations: readonly (readonly [column: string, reason: ThrottleReason])[] = [
  ['PVIOL', 'power_cap'],
  ['TVIOL', 'sw_thermal'],
  ['PHOT_TVIOL', 'hw_thermal'],
  ['VR_TVIOL', 'sw_thermal'],
  ['HBM_TVIOL', 'sw_thermal'],
  ['GFX_CLKVIOL', 'other'],
]

function throttleOfRow(row: Row): ThrottleReason[] | undefined {
  const told = violations.flatMap(([column, reason]) => {
    const percent = numberOf(columnOf(row, column))
    return percent === undefined ? [] : [{ reason, percent }]
  })
  if (told.length === 0) return undefined
  return [...new Set(told.filter(({ percent }) => percent > 0).map(({ reason }) => reason))]
}

function addProcesses(cards: Map<number, DeviceReading>, rows: readonly Row[]): void {
  for (const row of rows) {
    const card = cards.get(numberOf(row.get('GPU')) ?? -1)
    const pid = numberOf(row.get('PID'))
    if (!card || pid === undefined || !Number.isSafeInteger(pid)) continue
    const memoryBytes = bytesOf(columnOf(row, 'VRAM_MEM'), 'B')
    const process: DeviceProcess = present({ pid, name: columnOf(row, 'NAME'), memoryBytes })
    card.sensors = { ...card.sensors, processes: [...(card.sensors?.processes ?? []), process] }
  }
}
