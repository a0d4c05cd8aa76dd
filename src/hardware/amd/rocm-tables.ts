/** The tables that rocm-smi prints for people: `Concise Info` in its three forms, and `Concise Hardware Info`. */
import type { DeviceReading } from '../contract.ts'
import { numberOf, pciAddressOf, pciIdOf } from '../units.ts'
import { cutsCard, gfxOf, isIntegrated, nameOf } from './identity.ts'
import { amdReading, filled, sensorsOf, shareOf, temperatures } from './shape.ts'

/** A row's cells by the names of the columns, in lower case. */
type Row = ReadonlyMap<string, string>

/** Cells are set off by two spaces; the two halves of `0x74a2,   1017` are one. */
function cellsOf(line: string): string[] {
  return line
    .trim()
    .replace(/,\s+/g, ', ')
    .split(/\s{2,}/)
}

/** The cards in the tables of a text, by their numbers. */
export function readConcise(text: string): DeviceReading[] {
  const lines = text.split('\n')
  const cards: DeviceReading[] = []
  let names: string[] | undefined
  let below = ''
  for (const [at, line] of lines.entries()) {
    const cells = cellsOf(line)
    const [first = ''] = cells
    if (/^(GPU|Device)$/.test(first) && cells.length > 3) {
      names = cells.map((name) => name.toLowerCase())
      below = /^\s*\(|^\s+Name/.test(lines[at + 1] ?? '') ? (lines[at + 1] ?? '') : line
    } else if (/^={5,} /.test(line.trim())) {
      names = undefined
    } else if (names && /^\d+$/.test(first) && cells.length === names.length) {
      const row = new Map(names.map((name, column) => [name, cells[column] ?? '']))
      const after = lines[at + 1] ?? ''
      // In one form the name stands below, cut to 20 letters.
      const name = names.includes('[model : revision]') && /^\s{4,}\S/.test(after) ? after.trim() : undefined
      cards.push(names.includes('bus') ? readHardware(row) : readRow(row, below, name))
    }
  }
  return cards
}

function readRow(row: Row, heading: string, name: string | undefined): DeviceReading {
  const cell = (...names: string[]) => names.map((one) => row.get(one)).find((value) => value !== undefined)
  const heat = numberOf([...row].find(([key]) => key.startsWith('temp'))?.[1])
  // Only by `(Junction)` is it the hottest point.
  const atJunction = /\(junction\)/i.test(heading)
  const pciDeviceId = pciIdOf(/0x[0-9a-f]{4}\b/i.exec(cell('[model : revision]', 'ids') ?? '')?.[0])
  const [, mode] = cell('partitions')?.split(', ') ?? []
  const cut = cutsCard(mode)
  const kind =
    pciDeviceId === undefined ? undefined : isIntegrated({ pciDeviceId }) ? 'integrated' : 'discrete'
  return amdReading('rocm-smi', {
    index: numberOf(cell('device', 'gpu')),
    pciDeviceId,
    name: nameOf(name),
    kind: cut ? 'partition' : kind,
    partitionProfile: cut ? mode.toUpperCase() : undefined,
    sensors: sensorsOf({
      ...temperatures(atJunction ? undefined : heat, atJunction ? heat : undefined, undefined),
      powerWatts: numberOf(cell('power', 'avgpwr', 'socpwr')),
      powerLimitWatts: numberOf(cell('pwrcap')),
      graphicsClockMhz: numberOf(cell('sclk')),
      memoryClockMhz: numberOf(cell('mclk')),
      fanRatio: shareOf(numberOf(cell('fan'))),
      utilization: shareOf(numberOf(cell('gpu%'))),
    }),
  })
}

/** `rocm-smi --showhw`. */
function readHardware(row: Row): DeviceReading {
  const pciDeviceId = pciIdOf(row.get('did'))
  const kind =
    pciDeviceId === undefined ? undefined : isIntegrated({ pciDeviceId }) ? 'integrated' : 'discrete'
  const memoryErrors = row.get('umc ras')
  return amdReading('rocm-smi', {
    index: numberOf(row.get('gpu')),
    pciAddress: pciAddressOf(row.get('bus')),
    pciDeviceId,
    gfx: gfxOf(row.get('gfx ver')),
    kind,
    vbios: /^n\/a$/i.test(row.get('vbios') ?? 'N/A') ? undefined : row.get('vbios'),
    sensors: filled(
      /^(en|dis)abled$/i.test(memoryErrors ?? '')
        ? { ecc: { enabled: /^enabled$/i.test(memoryErrors ?? '') } }
        : {},
    ),
  })
}
