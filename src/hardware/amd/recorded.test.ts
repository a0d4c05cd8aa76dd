import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import type { DeviceReading } from '../contract.ts'
import { amdReaders } from './index.ts'
import { figures } from './testing/figures.ts'
import { numbersIn, read } from './testing/read.ts'

const root = sharedData('gpu-fixtures/amd')
const recorded = root === undefined ? [] : filesOf(root)

function filesOf(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true })
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.md'))
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
}

const textOf = (name: string) => readFileSync(join(root ?? '', name), 'utf8')
const device = (name: string, index = 0) => read(textOf(name)).devices.at(index)

const mib = 1024 ** 2
const refusals: { [name: string]: RegExp } = {
  'amd-smi-default-text/docs71-default.txt': /help/,
  'amd-smi-metric-text/rocm6.1.0-metric-o-0-1-2.txt': /processors/,
  'amd-smi-metric-text/rocm6.1.0-metric-u-all.txt': /processors/,
  'amd-smi-metric-text/rocm6.4.0-metric-c-g-1.txt': /GPU: 0/,
  'amd-smi-static-text/rocm6.1.0-static-u-all.txt': /processors/,
  'debugfs/amdgpu_firmware_info.txt': /firmware/,
}

describe('recorded outputs', () => {
  it('are read by the first reader that knows them, or refused with the reason that is expected', () => {
    for (const name of recorded) {
      const text = textOf(name)
      const result = amdReaders.find(({ matches }) => matches(text))?.read(text)
      const refusal = refusals[name]
      expect(result?.ok, `${name}: ${JSON.stringify(result)?.slice(0, 200)}`).toBe(refusal === undefined)
      if (refusal && result?.ok === false) expect(result.reason).toMatch(refusal)
      if (result?.ok)
        for (const number of numbersIn(result.reading)) expect(Number.isFinite(number), name).toBe(true)
    }
  })

  it('agree with the figures that stand in them', () => {
    for (const [name, index, expected] of recorded.length > 0 ? figures : []) {
      expect(device(name, index), name).toMatchObject(expected)
    }
  })

  it('have no unit of another kind in any of their figures', () => {
    for (const name of recorded.filter((one) => refusals[one] === undefined)) {
      for (const reading of read(textOf(name)).devices) expect(oddFigures(reading), name).toEqual([])
    }
  })

  it('draw their links as the matrices have them, cell by cell', () => {
    const matrices = recorded.filter(
      (name) => /topology-text|showtopo\/|xgmi_output/.test(name) && !/cndz/.test(name),
    )
    for (const name of matrices) {
      const text = textOf(name)
      const cells = cellsOfMatrix(text)
      const { links } = read(text)
      const labels = new Map(
        links.flatMap(({ a, b, label }) => [
          [`${nameOf(a)} ${nameOf(b)}`, label],
          [`${nameOf(b)} ${nameOf(a)}`, label],
        ]),
      )
      expect(Object.fromEntries(labels), name).toEqual(Object.fromEntries(cells))
      expect(cells.size, name).toBeGreaterThan(5)
    }
  })

  it('tell the ways between partitions and cards as KFD has them', () => {
    if (root === undefined) return
    const { devices, links } = read(textOf('kfd-topology/mi308.json'))
    const cardOf = (index: number | undefined) => devices[index ?? -1]?.parent?.pciAddress
    expect(links).toHaveLength((32 * 31) / 2)
    for (const { a, b, class: linkClass, gbPerSecond } of links) {
      const onOneCard = cardOf(a.index) === cardOf(b.index)
      expect(linkClass).toBe(onOneCard ? 'same_board' : 'xgmi')
      expect(gbPerSecond).toBe(onOneCard ? 819.2 : undefined)
    }
  })

  it('tell the ways in JSON as the texts of it have them', () => {
    if (root === undefined) return
    const ways = (name: string) =>
      read(textOf(name)).links.map(({ label, peerAccess }) => [label, peerAccess])
    expect(ways('amd-smi-topology-json/rocm6.1.1-topology-json.json')).toEqual([['PCIE', false]])
    expect(ways('amd-smi-topology-json/rocm6.1.1-topology-a-t-json.json')).toEqual([['PCIE', false]])
    const { links } = read(textOf('rocm-smi-json/telegraf-vega-20-WKS-GL-XE.json'))
    const near = links.filter(({ class: linkClass }) => linkClass === 'phb')
    expect(links).toHaveLength(28)
    // Four cards on each of two processors: 40 among the four, 72 from one processor to the other.
    expect(near).toHaveLength(12)
    for (const { a, b } of near) expect((a.index ?? 0) < 4).toBe((b.index ?? 0) < 4)
  })
})

const nameOf = ({ index, pciAddress }: { index?: number; pciAddress?: string }) => pciAddress ?? `GPU${index}`

/** The table of link types, read a second time in the plainest way. */
function cellsOfMatrix(text: string): Map<string, string> {
  const lines = text
    .slice(text.search(/link type/i))
    .split('\n')
    .slice(1)
  const columns = lines[0]?.trim().split(/\s+/) ?? []
  const rows = lines.slice(1, 1 + columns.length).map((line) => line.trim().split(/\s+/))
  return new Map(
    rows.flatMap(([row = '', ...cells]) =>
      cells.flatMap((cell, at): [string, string][] =>
        columns[at] === row ? [] : [[`${row} ${columns[at]}`, cell]],
      ),
    ),
  )
}

const ranges: { readonly [field: string]: readonly [least: number, most: number] } = {
  utilization: [0, 1],
  memoryUtilization: [0, 1],
  fanRatio: [0, 1],
  temperatureC: [1, 130],
  hotspotC: [1, 130],
  memoryTemperatureC: [1, 130],
  slowdownC: [60, 130],
  shutdownC: [60, 130],
  powerWatts: [0, 1500],
  powerLimitWatts: [30, 1500],
  graphicsClockMhz: [0, 3500],
  graphicsClockMaxMhz: [500, 3500],
  memoryClockMhz: [30, 3500],
  memoryClockMaxMhz: [100, 3500],
  memoryTotalBytes: [400 * mib, 300 * 1024 * mib],
  memoryUsedBytes: [0, 300 * 1024 * mib],
}

function oddFigures({ sensors, memoryTotalBytes }: DeviceReading): string[] {
  return Object.entries({ memoryTotalBytes, ...sensors }).flatMap(([field, value]) => {
    const range = ranges[field]
    if (!range || typeof value !== 'number') return []
    return value >= range[0] && value <= range[1] ? [] : [`${field} ${value}`]
  })
}
