import type { DeviceReading, OutputReader, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { isUnavailable, pciAddressOf, present, textOf } from '../units.ts'
import { processOf, uuidOf } from './card.ts'
import { type Cells, cell } from './cells.ts'
import { findHeader, readRows } from './csv.ts'
import { fields } from './fields.ts'

const usedMemory = ['used_gpu_memory', 'used_memory']

interface Table {
  tool: string
  /** A column of this table alone. */
  mark: readonly string[]
  /** The column that may hold commas. */
  widest?: string
  /** What the rows of one card say beyond naming it. */
  sensors?: (rows: readonly Cells[]) => DeviceReading['sensors'] | undefined
  note: (who: string, rows: readonly Cells[]) => string | undefined
}

const tables: readonly Table[] = [
  {
    tool: 'nvidia-smi --query-accounted-apps',
    mark: ['max_memory_usage'],
    // These ran; they run no more, or are listed by --query-compute-apps too.
    note: (who, rows) => `${who}: ${rows.length} processes accounted`,
  },
  {
    tool: 'nvidia-smi --query-retired-pages',
    mark: ['retired_pages.address', 'retired_pages.cause'],
    sensors: retiredPages,
    note: () => undefined,
  },
  {
    tool: 'nvidia-smi --query-compute-apps',
    mark: [...usedMemory, 'process_name', 'pid'],
    widest: 'process_name',
    sensors: (rows) => ({
      processes: rows
        .map((row) =>
          processOf(row.get('pid'), row.get('process_name') ?? row.get('name'), 'C', cell(row, usedMemory)),
        )
        .filter((process) => process !== undefined),
    }),
    note: () => undefined,
  },
]

/** A page without an address is a card that has no page retirement: newer ones remap rows. */
function retiredPages(rows: readonly Cells[]): DeviceReading['sensors'] | undefined {
  const told = rows.filter((row) => !isUnavailable(row.get('retired_pages.address')))
  return told.length === 0 ? undefined : { ecc: { retired: told.length } }
}

/** The CSV tables of processes and of retired pages: several rows a card. */
export const processCsvReaders: readonly OutputReader[] = tables.map((table) => ({
  tool: table.tool,
  matches: (text) => findHeader(text, new Set(table.mark)) !== undefined,
  read: (text) => readTable(text, table),
}))

function readTable(text: string, table: Table): ReadResult {
  const columns = findHeader(text, new Set(table.mark))
  if (columns === undefined) return refused(`${table.tool}: there is no header; ask with --format=csv`)
  const { rows, lost, notes } = readRows(text, columns, table.tool, table.widest)
  const byCard = Map.groupBy(rows, (row) => `${cell(row, fields.uuid)} ${cell(row, fields.pciAddress)}`)
  const devices: DeviceReading[] = []
  for (const own of byCard.values()) {
    const [first = new Map<string, string>()] = own
    const device = present({
      vendor: 'nvidia' as const,
      source: table.tool,
      uuid: uuidOf(cell(first, fields.uuid)),
      pciAddress: pciAddressOf(cell(first, fields.pciAddress)),
      serial: cell(first, fields.serial),
      name: textOf(first.get('gpu_name')),
      sensors: table.sensors?.(own),
    })
    const note = table.note(device.uuid ?? device.pciAddress ?? 'a card', own)
    if (note !== undefined) notes.push(note)
    devices.push(device)
  }
  if (rows.length === 0 && lost.length === 0) notes.push(`${table.tool}: the table has no rows`)
  return readingOf(table.tool, { devices: [...devices, ...lost], notes })
}
