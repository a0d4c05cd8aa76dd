import { bytesOf, isUnavailable, numberOf } from '../units.ts'

/** A row of a table, by the name of the column in upper case. */
export type Row = ReadonlyMap<string, string>

/**
 * Cells as amd-smi and rocm-smi print them: `N/A` with or without a unit, `[0 %, N/A]`, a number with its unit, a word.
 * They are set off by one space only where a table is dense, so that columns of spaces cannot be relied on.
 */
const cell =
  /\[[^\]]*\]|N\/A(?: (?:W|%|°C|C|MHz|MB|GB|Mb\/s))?|-?\d+(?:\.\d+)?(?:\/-?\d+(?:\.\d+)?)?(?: ?(?:%|W|°C|C|MHz|[KMGT]?i?B|Mb\/s|ns|mJ|V)(?![\w/]))?|\S+/g

/**
 * The rows below a header whose first column is `first`. Rows with another count of cells than the header are told as
 * a number: they were cut, or belong to something else.
 */
export function readRows(text: string, first: string): { rows: Row[]; odd: number } {
  const rows: Row[] = []
  let odd = 0
  let columns: string[] | undefined
  for (const line of text.split('\n')) {
    const words = line.trim()
    if (words === '') columns = undefined
    else if (words.split(/\s+/, 1)[0] === first) columns = words.toUpperCase().split(/\s+/)
    else if (columns && !/^[.=-]{3}/.test(words)) {
      const cells = words.match(cell) ?? []
      if (cells.length === columns.length)
        rows.push(new Map(columns.map((name, i) => [name, cells[i] ?? ''])))
      else odd += 1
    }
  }
  return { rows, odd }
}

/** The first of the named columns that holds a value. */
export function columnOf(row: Row, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = row.get(name)
    if (value !== undefined && !isUnavailable(value)) return value
  }
  return undefined
}

/** Two numbers with one unit: `0.3/192.0 GB`, `132/750 W`, `N/A/0 W`. */
export function pairOf(text: string | undefined): { first?: number; second?: number } {
  const [, first, second] = /^(\S+?)\/([\d.]+)(?:\s|$)/.exec(text?.trim() ?? '') ?? []
  const [a, b] = [numberOf(first), numberOf(second)]
  return { ...(a !== undefined && { first: a }), ...(b !== undefined && { second: b }) }
}

/** The same of amounts of memory, in bytes. */
export function bytePairOf(text: string | undefined): { usedBytes?: number; totalBytes?: number } {
  const unit = /([kmgt]?i?b)\s*$/i.exec(text ?? '')?.[1] ?? 'MB'
  const { first, second } = pairOf(text)
  const usedBytes = first === undefined ? undefined : bytesOf(String(first), unit)
  const totalBytes = second === undefined ? undefined : bytesOf(String(second), unit)
  return { ...(usedBytes !== undefined && { usedBytes }), ...(totalBytes !== undefined && { totalBytes }) }
}
