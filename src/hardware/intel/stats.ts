import type { DeviceReading, OutputReader, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { pciAddressOf, present } from '../units.ts'
import { errorIn, type Fields, fieldsOf, listOf, parseJson, textIn } from './json.ts'
import { isMetric, type Metric, sensorsOf } from './metrics.ts'
import { indexOf, tableLines } from './table.ts'

/** A card with what was measured of it; the card is told by its number, newer versions take its address as well. */
function deviceOf(id: string | undefined, metrics: readonly Metric[]): DeviceReading {
  const sensors = sensorsOf(metrics)
  return present({
    vendor: 'intel' as const,
    source: 'xpu-smi',
    index: indexOf(id),
    pciAddress: pciAddressOf(id),
    sensors: Object.keys(sensors).length > 0 ? sensors : undefined,
  })
}

function metricsIn(list: unknown, tile?: number): Metric[] {
  return listOf(list).flatMap((entry) => {
    const name = textIn(entry, 'metrics_type')
    const value = textIn(entry, 'value')
    return name === undefined || value === undefined
      ? []
      : [{ name, value, ...(tile !== undefined && { tile }) }]
  })
}

function jsonDevice(fields: Fields): DeviceReading {
  const tiles = listOf(fields['tile_level']).flatMap((tile, at) =>
    metricsIn(tile['data_list'], indexOf(textIn(tile, 'tile_id')) ?? at),
  )
  const metrics = [...metricsIn(fields['device_level']), ...tiles]
  return deviceOf(textIn(fields, 'device_id', 'pci_bdf_address'), metrics)
}

function readJson(text: string): ReadResult {
  const json = parseJson(text)
  const fields = fieldsOf(json)
  if (fields === undefined) return refused('the JSON is cut short')
  const error = errorIn(json)
  if (error !== undefined) return refused(`xpu-smi: ${error}`)
  const list = listOf(fields['datas'] ?? fields['device_list'])
  return readingOf('xpu-smi stats -j', { devices: (list.length > 0 ? list : [fields]).map(jsonDevice) })
}

/** `xpu-smi stats -d <id> -j`, of versions with and without tiles. */
export const statsJsonReader: OutputReader = {
  tool: 'xpu-smi stats -j',
  matches: (text) => /^\s*[{[]/.test(text) && /"(?:device_level|tile_level)"\s*:/.test(text),
  read: readJson,
}

/** A row of the table, its label and its values put together again where they were broken over several lines. */
interface Row {
  label: string
  values: string[]
}

function rowsOf(text: string): Row[] {
  const rows: Row[] = []
  for (const cells of tableLines(text)) {
    const [label = '', value = ''] = cells ?? []
    const last = rows.at(-1)
    // Labels begin with a capital; `all GPU Engines` and `(Celsius Degree)` go on with the line above.
    const goesOn = label === '' || /^[a-z(]/.test(label)
    if (cells === undefined || (goesOn && last === undefined)) continue
    if (!goesOn || last === undefined) rows.push({ label, values: [value] })
    else {
      last.label = `${last.label} ${label}`.trim()
      last.values.push(value)
    }
  }
  return rows
}

/**
 * The figure in `Tile 0: avg: 44, min: 44, max: 44, current: 45`, `Tile 0: 3, total: 5`, `Tile 0: 12.5` or `12.5`,
 * with its tile. A total is of the whole card.
 */
function metricIn(name: string, cell: string): Metric {
  const [, tileText, rest = cell] = /^Tile (\d+)\s*:(.*)$/i.exec(cell) ?? []
  const [, total] = /\btotal:\s*([^,]+)/i.exec(rest) ?? []
  if (total !== undefined) return { name, value: total.trim() }
  const current = /\bcurrent:([^,]*)/i.exec(rest)?.[1]
  const value = (current ?? rest).trim()
  return tileText === undefined ? { name, value } : { name, value, tile: Number(tileText) }
}

function readTable(text: string): ReadResult {
  const cards: { id: string; metrics: Metric[] }[] = []
  for (const { label, values } of rowsOf(text)) {
    if (/^Device ID$/i.test(label)) cards.push({ id: values[0] ?? '', metrics: [] })
    else if (isMetric(label)) cards.at(-1)?.metrics.push(...values.map((value) => metricIn(label, value)))
  }
  const devices = cards.map(({ id, metrics }) => deviceOf(id, metrics))
  return devices.length > 0
    ? readingOf('xpu-smi stats', { devices })
    : refused('no line "Device ID" tells which card was measured')
}

/** `xpu-smi stats -d <id>` as a table. */
export const statsTableReader: OutputReader = {
  tool: 'xpu-smi stats',
  matches: (text) =>
    /^[ \t]*\|\s*Device ID\s*\|/m.test(text) &&
    /^[ \t]*\|\s*(?:GPU Power \(W\)|GPU Frequency|.*% utilization of|EU Array|GPU Utilization)/m.test(text),
  read: readTable,
}
