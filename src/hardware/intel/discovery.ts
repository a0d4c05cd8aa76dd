import type { DeviceReading, OutputReader, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { bytesOf, numberOf, pciAddressOf, pciIdOf, present, textOf } from '../units.ts'
import { errorIn, type Fields, fieldsOf, listOf, parseJson, textIn } from './json.ts'
import { indexOf, keyAndValue, tableLines } from './table.ts'

/** A card as `xpu-smi discovery` tells it. */
export interface DiscoveredCard {
  reading: DeviceReading
  /** Parts of the card that compute by themselves; absent: not told. */
  tiles?: number
  /** It is a share (SR-IOV) of a card. */
  isVirtual: boolean
}

/** What the three forms of the output (JSON, table, CSV) call the same thing. */
const names = {
  index: ['device_id', 'Device ID'],
  name: ['device_name', 'Device Name'],
  uuid: ['uuid', 'UUID', 'SOC UUID'],
  serial: ['serial_number', 'Serial Number'],
  address: ['pci_bdf_address', 'PCI BDF Address'],
  deviceId: ['pci_device_id', 'PCI Device ID'],
  vendorId: ['pci_vendor_id', 'PCI Vendor ID'],
  driver: ['driver_version', 'Driver Version'],
  firmware: ['gfx_firmware_version', 'GFX Firmware Version', 'firmware_version', 'Firmware Version'],
  memory: ['memory_physical_size_byte', 'Memory Physical Size'],
  memoryFree: ['memory_free_size_byte', 'Memory Free Size'],
  ecc: ['memory_ecc_state', 'ECC State', 'Memory ECC State'],
  clock: ['core_clock_rate_mhz', 'Core Clock Rate'],
  generation: ['pcie_generation', 'PCIe Generation'],
  width: ['pcie_max_link_width', 'PCIe Max Link Width'],
  units: ['number_of_eus', 'Number of EUs'],
  tiles: ['number_of_tiles', 'Number of Tiles'],
  slices: ['number_of_slices', 'Number of Slices'],
  subSlices: [
    'number_of_sub_slices_per_slice',
    'Number of Sub Slices per Slice',
    'Number of Sub-slices per Slice',
  ],
  unitsPerSubSlice: ['number_of_eus_per_sub_slice', 'Number of EUs per Sub-slice'],
  function: ['device_function_type', 'Function Type'],
  state: ['device_state', 'Device State'],
} as const

type Told = (key: keyof typeof names) => string | undefined

/** All cards in any form of the output, in its order; undefined where the text is no such output. */
export function discoveredCards(text: string): DiscoveredCard[] | undefined {
  const all = recordsOf(text)?.map(cardOf)
  if (all === undefined) return undefined
  // Cards of one kind bear one UUID in early versions: then it names none of them.
  const uuids = all.map(({ reading }) => reading.uuid)
  for (const { reading } of all) {
    if (reading.uuid !== undefined && uuids.filter((uuid) => uuid === reading.uuid).length > 1)
      delete reading.uuid
  }
  return all
}

function recordsOf(text: string): Fields[] | undefined {
  if (/^\s*[{[]/.test(text)) return jsonRecords(parseJson(text))
  return isTable(text) ? tableRecords(text) : csvRecords(text)
}

function jsonRecords(json: unknown): Fields[] | undefined {
  const fields = fieldsOf(json)
  const lists = [json, fields?.['device_list'], fields?.['devices']]
  const list = lists.find((entry) => Array.isArray(entry))
  if (list !== undefined) return listOf(list).filter(isCard)
  return fields !== undefined && isCard(fields) ? [fields] : undefined
}

/** A name alone could be that of any tool's device. */
const isCard = (fields: Fields) =>
  fields['device_id'] !== undefined ||
  fields['pci_bdf_address'] !== undefined ||
  fields['memory_physical_size_byte'] !== undefined

const isTable = (text: string) => /^[ \t]*\|\s*Device ID\s*\|\s*Device Information\s*\|\s*$/m.test(text)

function tableRecords(text: string): Fields[] {
  const records: Record<string, string>[] = []
  for (const cells of tableLines(text)) {
    if (cells === undefined) continue
    const index = indexOf(cells[0])
    if (index !== undefined) records.push({ 'Device ID': String(index) })
    const told = keyAndValue(cells[1] ?? '')
    const record = records.at(-1)
    // A firmware's name and version stand there once for each: the first is that of the GPU.
    if (told && record && record[told.key] === undefined) record[told.key] = told.value
  }
  return records
}

const csvHeader = /^[ \t]*(?:Device ID|Device Name)(?:,[^,"\n]{1,60})+$/m

function csvRecords(text: string): Fields[] | undefined {
  const header = csvHeader.exec(text)
  if (!header) return undefined
  const columns = cellsOf(header[0])
  const lines = text.slice(header.index + header[0].length).split(/\r?\n/)
  return lines
    .filter((line) => line.trim() !== '')
    .map(cellsOf)
    .filter((cells) => cells.length === columns.length)
    .map((cells) => Object.fromEntries(columns.map((column, at) => [column, cells[at] ?? ''])))
}

/** `0,"Intel(R) Graphics [0x56c0]","2050 MHz"`: a cell in quotes may hold commas. */
function cellsOf(line: string): string[] {
  const cells = line.match(/\s*(?:"[^"]*"|[^,]*)(?:,|$)/g) ?? []
  // The pattern also finds the empty text behind the last cell.
  return (line.endsWith(',') ? cells : cells.slice(0, -1)).map((cell) =>
    cell.replace(/,$/, '').trim().replace(/^"|"$/g, '').trim(),
  )
}

function cardOf(record: Fields): DiscoveredCard {
  const told: Told = (key) => textOf(textIn(record, ...names[key]))
  const name = told('name')
  const reading: DeviceReading = present({
    vendor: 'intel' as const,
    source: 'xpu-smi',
    index: indexOf(told('index')),
    uuid: told('uuid'),
    pciAddress: pciAddressOf(told('address')),
    pciDeviceId: pciIdOf(told('deviceId') ?? /\[(0x[0-9a-f]{3,4})\]/i.exec(name ?? '')?.[1]),
    pciVendorId: pciIdOf(told('vendorId')),
    serial: told('serial'),
    name,
    memoryTotalBytes: bytesOf(told('memory'), 'b') || undefined,
    memoryFreeBytes: bytesOf(told('memoryFree'), 'b'),
    driverVersion: told('driver'),
    vbios: told('firmware'),
    computeUnits: computeUnitsOf(told),
    pcie: linkOf(told),
    ...stateOf(told('state')),
    sensors: sensorsOf(told),
  })
  const tiles = countOf(told('tiles'))
  const isVirtual = /virtual/i.test(told('function') ?? '')
  return { reading, ...(tiles !== undefined && { tiles }), isVirtual }
}

function countOf(text: string | undefined): number | undefined {
  const value = numberOf(text)
  return value !== undefined && Number.isInteger(value) && value > 0 ? value : undefined
}

/** Execution units. Of a card with tiles, versions differ in whether the slices are those of one: then only the sum is believed. */
function computeUnitsOf(told: Told): number | undefined {
  const sum = countOf(told('units'))
  if (sum !== undefined || countOf(told('tiles')) !== 1) return sum
  const parts = [told('slices'), told('subSlices'), told('unitsPerSubSlice')].map(countOf)
  return parts.every((part) => part !== undefined) ? parts.reduce((all, part) => all * part, 1) : undefined
}

/**
 * The link that the card was built for. Arc cards tell of the link inside of the card, which says generation 1 with
 * one lane whatever the slot does.
 */
function linkOf(told: Told): DeviceReading['pcie'] {
  const maxGeneration = countOf(told('generation'))
  const maxWidth = countOf(told('width'))
  if (maxGeneration === 1 || (maxGeneration ?? 1) > 8 || (maxWidth ?? 1) > 32) return undefined
  return maxGeneration === undefined && maxWidth === undefined
    ? undefined
    : present({ maxGeneration, maxWidth })
}

function stateOf(state: string | undefined): Pick<DeviceReading, 'state' | 'stateReason'> {
  if (state === undefined || !/wedged|surviv|fail|error|reset|lost/i.test(state)) return {}
  return {
    state: /lost|reset/i.test(state) ? 'lost' : 'error',
    stateReason: `xpu-smi: the device is ${state}`,
  }
}

function sensorsOf(told: Told): DeviceReading['sensors'] {
  const ecc = told('ecc')
  const sensors = present({
    graphicsClockMaxMhz: countOf(told('clock')),
    ecc: ecc === undefined ? undefined : { enabled: /^enabled$/i.test(ecc) },
  })
  return Object.keys(sensors).length > 0 ? sensors : undefined
}

/** Shares of cards that are themselves in the list are left out; inside a virtual machine a share is the card. */
function read(text: string): ReadResult {
  const cards = discoveredCards(text)
  if (cards === undefined) {
    const error = /^\s*[{[]/.test(text) ? errorIn(parseJson(text)) : undefined
    return refused(
      error === undefined ? 'the text is cut short, or no output of discovery' : `xpu-smi: ${error}`,
    )
  }
  const physical = cards.filter(({ isVirtual }) => !isVirtual)
  const told = physical.length > 0 ? physical : cards
  const left = cards.length - told.length
  const notes = left > 0 ? [`${left} virtual functions are left out: they are shares of the other cards`] : []
  if (told.length === 0) notes.push('xpu-smi found no card')
  return readingOf('xpu-smi discovery', { devices: told.map(({ reading }) => reading), notes })
}

const jsonKeys = /"(?:pci_bdf_address|memory_physical_size_byte|device_list)"\s*:/

/** `xpu-smi discovery` and `xpumcli discovery`: list or one device, as JSON, table or CSV (`--dump`). */
export const discoveryReader: OutputReader = {
  tool: 'xpu-smi discovery',
  matches: (text) => (/^\s*[{[]/.test(text) ? jsonKeys.test(text) : isTable(text) || csvHeader.test(text)),
  read,
}
