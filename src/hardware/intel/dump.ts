import type { DeviceReading, OutputReader, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { numberOf, pciAddressOf, present, textOf } from '../units.ts'
import { type Metric, sensorsOf } from './metrics.ts'

const header = /^[ \t]*Timestamp[ \t]*,[ \t]*DeviceId[ \t]*,.*$/im

/** The newest row of each card and tile, by the columns' names. */
function lastRows(text: string): {
  columns: string[]
  rows: Map<string, string[]>
  count: number
  odd: number
} {
  const found = header.exec(text)
  const columns = (found?.[0] ?? '').split(',').map((cell) => cell.trim())
  const tileAt = columns.findIndex((column) => /^TileId$/i.test(column))
  const rows = new Map<string, string[]>()
  let count = 0
  let odd = 0
  for (const line of text.slice((found?.index ?? 0) + (found?.[0].length ?? 0)).split(/\r?\n/)) {
    const cells = line.split(',').map((cell) => cell.trim())
    if (!/^(?:\d{4}[/-]\d\d[/-]\d\d[ T])?\d{1,2}:\d\d:\d\d/.test(cells[0] ?? '')) continue
    if (cells.length !== columns.length) {
      odd += 1
      continue
    }
    count += 1
    rows.set(`${cells[1]} ${cells[tileAt] ?? ''}`, cells)
  }
  return { columns, rows, count, odd }
}

/** `00` is card 0, an address is itself. */
function identityOf(id: string): Pick<DeviceReading, 'index' | 'pciAddress'> {
  const pciAddress = pciAddressOf(id)
  const index = /^\d{1,5}$/.test(id) ? Number(id) : undefined
  return present({ index, pciAddress })
}

function read(text: string): ReadResult {
  if (!header.test(text)) return refused('there is no line that names the columns')
  const { columns, rows, count, odd } = lastRows(text)
  const cards = new Map<string, Metric[]>()
  for (const cells of rows.values()) {
    const id = cells[1] ?? ''
    const metrics = cards.get(id) ?? []
    cards.set(id, metrics)
    const tile = numberOf(cells[columns.findIndex((column) => /^TileId$/i.test(column))])
    for (const [at, name] of columns.entries()) {
      const value = at < 2 ? undefined : textOf(cells[at])
      if (value !== undefined) metrics.push({ name, value, ...(tile !== undefined && { tile }) })
    }
  }
  const devices = [...cards].map(([id, metrics]): DeviceReading => {
    const sensors = sensorsOf(metrics)
    return { vendor: 'intel', source: 'xpu-smi', ...identityOf(id), sensors }
  })
  const notes = count > rows.size ? [`of ${count} rows the newest of each card counts`] : []
  if (odd > 0) notes.push(`${odd} rows of another width than the header were left out`)
  return readingOf('xpu-smi dump', { devices, notes })
}

/** CSV of `xpu-smi dump`, from the screen or from a file; of a card that was measured often the newest row counts. */
export const dumpReader: OutputReader = { tool: 'xpu-smi dump', matches: (text) => header.test(text), read }
