import type { OutputReader, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { pciAddressOf, present } from '../units.ts'
import { describeFunctions, numaNodeOf, type PciFunction } from './functions.ts'
import { classCodeOf, productName, splitVendor, unnamedDeviceId } from './names.ts'

/** `NVIDIA Corporation [10de]` (`-nn`), `NVIDIA Corporation`, `10de` (`-n`). */
function splitId(text: string): { name: string; id?: string } {
  const [all, id] = /\s*\[?\b([0-9a-f]{4})\]$|^([0-9a-f]{4})$/i.exec(text.trim()) ?? []
  if (all === undefined) return { name: text.trim() }
  const digits = id ?? text.trim()
  return { name: text.trim().slice(0, -all.length).trim(), id: `0x${digits.toLowerCase()}` }
}

/** One function from the three texts that both machine-readable forms have. */
function functionOf(
  slot: string | undefined,
  classText: string,
  vendorText: string,
  deviceText: string,
): PciFunction | undefined {
  const address = pciAddressOf(slot)
  if (address === undefined) return undefined
  const vendor = splitId(vendorText)
  const device = splitId(deviceText)
  const unnamed = unnamedDeviceId(device.name)
  return present({
    address,
    classCode: classCodeOf(classText),
    vendorId: vendor.id ?? splitVendor(vendor.name).vendorId,
    deviceId: device.id ?? unnamed,
    name: unnamed === undefined && device.name !== 'Device' ? productName(device.name) : undefined,
  })
}

function result(tool: string, functions: readonly PciFunction[]): ReadResult {
  if (functions.length === 0) return refused('no record holds a PCI address')
  const described = describeFunctions(tool, functions)
  if (described.devices.length === 0) described.notes.push(`no GPU among ${functions.length} PCI devices`)
  return readingOf(tool, described)
}

/** `Key:<tab>value` lines; a record ends with an empty line. */
function recordsOf(text: string): Map<string, string>[] {
  return text.split(/\r?\n\s*\r?\n/).map((record) => {
    const fields = new Map<string, string>()
    for (const line of record.split(/\r?\n/)) {
      const [, key, value] = /^(\w+):\s+(.*)$/.exec(line) ?? []
      // An older form has `Device` twice, the address first.
      if (key !== undefined && value !== undefined && !fields.has(key)) fields.set(key, value.trim())
    }
    return fields
  })
}

/** `lspci -vmm`, `-vmmn`, `-vmmnn`, each with or without `-k` and `-D`. */
export const lspciRecordsReader: OutputReader = {
  tool: 'lspci -vmm',
  matches: (text) => /^Slot:\s+(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\s*$/im.test(text),
  read(text) {
    const records = recordsOf(text)
    const tellsDrivers = records.some((fields) => fields.has('Driver'))
    const functions = records.flatMap((fields) => {
      const fn = functionOf(
        fields.get('Slot'),
        fields.get('Class') ?? '',
        fields.get('Vendor') ?? '',
        fields.get('Device') ?? '',
      )
      if (fn === undefined) return []
      const driver = fields.get('Driver') ?? (tellsDrivers ? null : undefined)
      const silent = fields.get('Rev') === 'ff' ? true : undefined
      return present({ ...fn, driver, silent, numaNode: numaNodeOf(fields.get('NUMANode')) })
    })
    return result('lspci -vmm', functions)
  },
}

/** `lspci -mm`: one line a device, its texts in quotes. */
export const lspciLinesReader: OutputReader = {
  tool: 'lspci -mm',
  matches: (text) => /^(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] "/im.test(text),
  read: (text) => result('lspci -mm', readLspciLines(text)),
}

/** The functions in a text of `lspci -mm`. Lines of the same address (of several machines) stay apart. */
export function readLspciLines(text: string): PciFunction[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const quoted = [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, inside = '']) => inside)
    const [classText, vendor, device] = quoted
    if (classText === undefined || vendor === undefined || device === undefined) return []
    const fn = functionOf(line.slice(0, line.indexOf('"')), classText, vendor, device)
    return fn === undefined
      ? []
      : [present({ ...fn, silent: /\s-rff(?:\s|$)/.test(line) ? true : undefined })]
  })
}
