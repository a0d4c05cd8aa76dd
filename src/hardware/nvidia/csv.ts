import type { DeviceReading } from '../contract.ts'
import { type Cells, keyOf } from './cells.ts'
import { lostCardOf } from './messages.ts'

/** A CSV output of nvidia-smi: rows by column name, and what stood between them. */
export interface Csv {
  columns: string[]
  rows: Cells[]
  /** Cards whose message stands where their row would. */
  lost: DeviceReading[]
  /** Rows of another width, warnings. */
  notes: string[]
}

/** nvidia-smi writes `, ` between cells and never quotes; some versions leave the blank out before a bracket. */
const separator = /,\s+|,(?=\[)/

/** The column names of a header line, as `keyOf` gives them; undefined where the line is no header that holds one of `known`. */
export function headerOf(line: string, known: ReadonlySet<string>): string[] | undefined {
  const parts = line.trim().split(separator)
  if (!parts.every((part) => /^[a-z][\w.]*(\s*\[[^\]]*\])?$/i.test(part))) return undefined
  const columns = parts.map(keyOf)
  return columns.some((column) => known.has(column)) ? columns : undefined
}

/** The first header among the first lines of a text, where messages may stand above it. */
export function findHeader(text: string, known: ReadonlySet<string>): string[] | undefined {
  const head = text.slice(0, 50_000).split(/\r?\n/, 20)
  return head.map((line) => headerOf(line, known)).find((columns) => columns !== undefined)
}

/**
 * Reads rows below a header, or of known columns where the text has none (`--format=csv,noheader`).
 *
 * @param widest the column that may hold `, ` itself, such as a process's name
 */
export function readRows(text: string, columns: readonly string[], source: string, widest?: string): Csv {
  const rows: Cells[] = []
  const lost: DeviceReading[] = []
  const notes: string[] = []
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '' || isHeader(line, columns)) continue
    const card = lostCardOf(line, source)
    if (card !== undefined) {
      lost.push(card)
      notes.push(line.trim())
      continue
    }
    const cells = fitted(
      line.trim().split(separator),
      columns.length,
      widest === undefined ? -1 : columns.indexOf(widest),
    )
    if (cells === undefined)
      notes.push(`${source}: a row of other width was left out: ${line.trim().slice(0, 120)}`)
    else rows.push(new Map(columns.map((column, at) => [column, cells[at] ?? ''])))
  }
  return { columns: [...columns], rows, lost, notes }
}

function isHeader(line: string, columns: readonly string[]): boolean {
  const parts = line.trim().split(separator)
  return parts.length === columns.length && parts.every((part, at) => keyOf(part) === columns[at])
}

/** The cells in the right number: what is too much belongs to the cell at `widest`. */
function fitted(cells: string[], count: number, widest: number): string[] | undefined {
  const extra = cells.length - count
  if (extra === 0) return cells
  if (extra < 0 || widest < 0) return undefined
  const joined = cells.slice(widest, widest + extra + 1).join(', ')
  return [...cells.slice(0, widest), joined, ...cells.slice(widest + extra + 1)]
}
