import type { Draft } from './edit.ts'
import { graphemesOf, graphemeWidth, textWidth } from './width.ts'

/** A draft as rows of a terminal, and where its cursor stands. */
export interface Layout {
  rows: string[]
  cursorRow: number
  cursorColumn: number
}

/** What stands before the first row, and before each other one. Both are as wide. */
export interface Prompts {
  first: string
  more: string
}

/**
 * Breaks a draft into rows. The last column stays free, so that no terminal has to be asked what it does there.
 */
export function layOut({ above, line, cursor }: Draft, prompts: Prompts, columns: number): Layout {
  const width = Math.max(4, columns - textWidth(prompts.first) - 1)
  const finished = above.flatMap((text) => breakLine(graphemesOf(text), width).rows)
  const current = breakLine(line, width, cursor)
  const rows = [...finished, ...current.rows].map(
    (row, index) => `${index === 0 ? prompts.first : prompts.more}${row}`,
  )
  return {
    rows,
    cursorRow: finished.length + current.cursorRow,
    cursorColumn: textWidth(prompts.first) + current.cursorColumn,
  }
}

function breakLine(line: readonly string[], width: number, cursor = 0): Layout {
  const rows = ['']
  let column = 0
  let place = { cursorRow: 0, cursorColumn: 0 }
  line.forEach((grapheme, index) => {
    const columns = graphemeWidth(grapheme)
    if (column + columns > width) {
      rows.push('')
      column = 0
    }
    if (index === cursor) place = { cursorRow: rows.length - 1, cursorColumn: column }
    rows[rows.length - 1] += grapheme
    column += columns
  })
  if (cursor >= line.length) place = { cursorRow: rows.length - 1, cursorColumn: column }
  return { rows, ...place }
}
