import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import type { z } from 'zod'
import type { Line } from './contract.ts'

/** A line that does not hold what its format says; `readTrace` adds the file's name. */
export class LineError extends Error {
  constructor({ number, text }: Line, problem: string) {
    const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text
    super(`line ${number}: ${problem}: ${shown}`)
    this.name = 'LineError'
  }
}

/** The lines of a file, which may be compressed (`.gz`), one at a time. */
export async function* linesOf(path: string): AsyncGenerator<Line> {
  const file = createReadStream(path)
  const input = path.endsWith('.gz') ? file.pipe(createGunzip()) : file
  const failed = new Promise<never>((_, reject) => {
    for (const stream of new Set([file, input])) stream.once('error', reject)
  })
  // Whoever stops reading early has no use for a late failure.
  failed.catch((error: unknown) => input.destroy(error instanceof Error ? error : new Error(String(error))))
  const reader = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
  const lines = reader[Symbol.asyncIterator]()
  try {
    for (let number = 1; ; number++) {
      const { done, value } = await Promise.race([lines.next(), failed])
      if (done) return
      const text = number === 1 ? value.replace(/^\uFEFF/, '') : value
      if (text.trim() !== '') yield { number, text }
    }
  } finally {
    reader.close()
    file.destroy()
  }
}

/** One JSON value of a known shape. */
export function parseLine<Shape extends z.ZodType>(line: Line, shape: Shape): z.infer<Shape> {
  let value: unknown
  try {
    value = JSON.parse(line.text)
  } catch {
    throw new LineError(line, 'it is not JSON')
  }
  const parsed = shape.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new LineError(
    line,
    `"${issue?.path.join('.') ?? ''}": ${issue?.message ?? 'it is not what is expected'}`,
  )
}

/** Rows of a CSV file by the names in its first line, case aside. Of quotes only those around a whole cell are known. */
export async function* csvRows(
  lines: AsyncIterable<Line>,
  wanted: readonly string[],
): AsyncGenerator<{ line: Line; cell: (column: string) => string }> {
  let columns: Map<string, number> | undefined
  for await (const line of lines) {
    const cells = line.text.split(',').map((cell) => cell.trim().replace(/^"(.*)"$/, '$1'))
    if (!columns) {
      columns = new Map(cells.map((name, index) => [name.toLowerCase(), index]))
      const missing = wanted.find((name) => !columns?.has(name.toLowerCase()))
      if (missing) throw new LineError(line, `there is no column "${missing}" in the head`)
      continue
    }
    const places = columns
    if (cells.length < places.size)
      throw new LineError(line, `it has ${cells.length} of ${places.size} columns`)
    yield { line, cell: (column) => cells[places.get(column.toLowerCase()) ?? -1] ?? '' }
  }
}

/** A cell that has to be a number from 0 up. */
export function figure(line: Line, name: string, text: string): number {
  const value = Number(text)
  if (text === '' || !(value >= 0))
    throw new LineError(line, `"${name}" is "${text}", and has to be a number from 0 up`)
  return value
}
