import type { DeviceReading, OutputReader, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { cardOf, notesOf } from './card.ts'
import { keyOf } from './cells.ts'
import { findHeader, readRows } from './csv.ts'
import { eccCounters, fields, repairFailed, repairPending } from './fields.ts'

const tool = 'nvidia-smi --query-gpu'

/** Every column that some reading comes from, and a few that only tell that a line is this table's header. */
const known: ReadonlySet<string> = new Set([
  ...Object.values(fields).flat(),
  ...repairPending,
  ...repairFailed,
  ...(['volatile', 'aggregate'] as const).flatMap((period) =>
    (['corrected', 'uncorrected'] as const).flatMap((errors) => {
      const { total, parts } = eccCounters(period, errors)
      return [...total, ...parts.flat()]
    }),
  ),
  'pstate',
  'count',
  'compute_mode',
])

/** Columns of the tables of processes and pages, which have cards' columns too. */
const ofOtherTables = ['pid', 'retired_pages.address', 'retired_pages.cause', 'max_memory_usage']

/** `nvidia-smi --query-gpu=… --format=csv` with its header, any columns in any order, with or without `nounits`. */
export const queryReader: OutputReader = {
  tool,
  matches(text) {
    const columns = findHeader(text, known)
    return columns !== undefined && !ofOtherTables.some((column) => columns.includes(column))
  },
  read(text) {
    const columns = findHeader(text, known)
    return columns === undefined
      ? refused(
          `${tool}: there is no header, so that nothing says what the columns are; ask with --format=csv`,
        )
      : readQuery(text, columns)
  },
}

/**
 * Reads the rows of a query whose columns are known, with or without a header above them.
 *
 * @param columns as they were asked for: `index`, `memory.used`
 */
export function readQuery(text: string, columns: readonly string[]): ReadResult {
  const { rows, lost, notes } = readRows(text, columns.map(keyOf), tool)
  const devices: DeviceReading[] = []
  for (const cells of rows) {
    const card = cardOf(cells, { source: tool })
    devices.push(card)
    notes.push(...notesOf(cells, card))
  }
  if (devices.length === 0 && lost.length === 0) {
    return rows.length === 0 && notes.length === 0
      ? readingOf(tool, { notes: [`${tool}: the table has no rows`] })
      : refused(`${tool}: no row could be read: ${notes[0] ?? 'the text is empty'}`)
  }
  return readingOf(tool, { devices: [...devices, ...lost], notes })
}

const headerless = /^[^,\n]+,\s*[^,\n]+(,|$)/
const speaksOfCards =
  /\b(NVIDIA|GeForce|Tesla|Quadro|TITAN|GPU-[0-9a-f]{8})\b|\[(unknown error|n\/a|not supported)\]/i

/** Rows of `--format=csv,noheader` from who knows which query: known for what they are, and refused. */
export const headerlessReader: OutputReader = {
  tool: `${tool} (no header)`,
  matches(text) {
    const lines = text
      .slice(0, 20_000)
      .split(/\r?\n/)
      .filter((line) => line.trim() !== '')
    return lines.length > 0 && lines.every((line) => headerless.test(line)) && speaksOfCards.test(text)
  },
  read: () =>
    refused(
      `${tool}: these rows have no header, so that nothing says what the columns are; ask with --format=csv`,
    ),
}
