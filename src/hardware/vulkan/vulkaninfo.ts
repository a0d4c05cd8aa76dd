import type { DeviceKind, DeviceReading, OutputReader, ReadResult, Vendor } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { numberOf, pciAddressOf, present, textOf } from '../units.ts'
import { identityOf } from './uuid.ts'

const tool = 'vulkaninfo'

interface Heap {
  sizeBytes?: number
  budgetBytes?: number
  usageBytes?: number
  isDeviceLocal: boolean
}

/** Everything that stands under one `GPU0:`, in the summary, in the long form, or in both. */
interface Section {
  index: number
  fields: Map<string, string>
  heaps: Heap[]
}

/** Bytes of `8321499136 (0x1f0000000) (7.75 GiB)`, or of an older form's `7936MiB (8321499136) (100 %)`. */
function heapBytes(value: string): number | undefined {
  const [, plain] = /^(\d+)(?:\s|$)/.exec(value) ?? /\((\d+)\)/.exec(value) ?? []
  const bytes = Number(plain)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

function readHeapLine(heaps: Heap[], line: string, key: string | undefined, value: string) {
  if (/^memoryHeaps\[\d+\]/.test(line)) heaps.push({ isDeviceLocal: false })
  const heap = heaps.at(-1)
  if (heap === undefined) return
  if (line.includes('MEMORY_HEAP_DEVICE_LOCAL_BIT')) heap.isDeviceLocal = true
  const bytes = heapBytes(value)
  if (bytes === undefined) return
  if (key === 'size') heap.sizeBytes = bytes
  if (key === 'budget') heap.budgetBytes = bytes
  if (key === 'usage') heap.usageBytes = bytes
}

/** The devices of a text. What is said first of a device counts; its memory stands in the long form alone. */
function sectionsOf(text: string): Section[] {
  const sections = new Map<number, Section>()
  let current: Section | undefined
  let inHeaps = false
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.trim()
    const [, index] = /^GPU\s?(\d{1,3})\s*:?$/.exec(line) ?? []
    if (index !== undefined) {
      current = sections.get(Number(index)) ?? { index: Number(index), fields: new Map(), heaps: [] }
      sections.set(current.index, current)
      inHeaps = false
      continue
    }
    if (current === undefined) continue
    if (/^memoryHeaps\b/.test(line)) inHeaps = true
    if (/^(?:memoryTypes|VkPhysicalDevice\w+:)/.test(line)) inHeaps = false
    const [, key, value = ''] = /^(\w+)\s*=\s*(.*)$/.exec(line) ?? []
    if (inHeaps) readHeapLine(current.heaps, line, key, value)
    else if (key !== undefined && !current.fields.has(key)) current.fields.set(key, value)
  }
  return [...sections.values()].filter(({ fields }) => fields.has('deviceName') || fields.has('deviceType'))
}

const vendors: Readonly<Record<number, Vendor>> = {
  4318: 'nvidia',
  4098: 'amd',
  4130: 'amd',
  32902: 'intel',
  4203: 'apple',
}

/** `0x10de`, or decimal in older forms; undefined where it is no PCI id but one of the Khronos register. */
function pciId(text: string | undefined): string | undefined {
  const value = Number(/^(0x[0-9a-f]+|\d+)/i.exec(text ?? '')?.[1] ?? Number.NaN)
  return value > 0 && value <= 0xffff ? `0x${value.toString(16).padStart(4, '0')}` : undefined
}

function kindOf(type: string): DeviceKind | undefined {
  if (type.includes('INTEGRATED_GPU')) return 'integrated'
  return type.includes('DISCRETE_GPU') ? 'discrete' : undefined
}

/** Why a Vulkan device is none that could serve: it computes on the CPU, or passes another driver's card on. */
function whyLeftOut({ fields }: Section): string | undefined {
  const name = fields.get('deviceName') ?? ''
  const driver = `${fields.get('driverID') ?? ''} ${fields.get('driverName') ?? ''}`
  const isSoftware = /llvmpipe|lavapipe|swiftshader/i.test(`${name} ${driver}`)
  if (isSoftware || /(?:TYPE_|^)CPU\b/.test(fields.get('deviceType') ?? '')) return 'it computes on the CPU'
  if (/DOZEN|Direct3D12/i.test(`${name} ${driver}`)) return "it is another driver's card through Direct3D"
  return undefined
}

/** The largest heap of the card's own; a small one beside it is a window into the same memory. */
function memoryOf(heaps: readonly Heap[]): Pick<DeviceReading, 'memoryTotalBytes' | 'memoryFreeBytes'> {
  const local = heaps.filter(({ isDeviceLocal, sizeBytes = 0 }) => isDeviceLocal && sizeBytes > 0)
  const [heap] = local.sort((a, b) => (b.sizeBytes ?? 0) - (a.sizeBytes ?? 0))
  const { sizeBytes, budgetBytes = 0, usageBytes = 0 } = heap ?? {}
  // A driver without the budget extension writes zeros.
  const memoryFreeBytes = budgetBytes > 0 ? Math.max(0, budgetBytes - usageBytes) : undefined
  return present({ memoryTotalBytes: sizeBytes, memoryFreeBytes })
}

/** The address in fields of the long form, which are decimal. */
function addressOf(fields: ReadonlyMap<string, string>): string | undefined {
  const parts = ['pciDomain', 'pciBus', 'pciDevice', 'pciFunction'].map((key) => numberOf(fields.get(key)))
  if (parts.some((part) => part === undefined || !Number.isInteger(part) || part < 0)) return undefined
  const [domain, bus, device, fn] = parts.map((part) => (part ?? 0).toString(16))
  return pciAddressOf(`${domain}:${bus}:${device}.${fn}`)
}

/** `1.3.289` of `1.3.289` or `4206881 (1.3.289)`. */
const versionIn = (text: string | undefined) => /\d+\.\d+(?:\.\d+)*/.exec(text ?? '')?.[0]

function readDevice({ index, fields, heaps }: Section): DeviceReading {
  const pciVendorId = pciId(fields.get('vendorID'))
  const name = textOf(fields.get('deviceName'))
  const driver = present({ driverId: fields.get('driverID'), driverName: fields.get('driverName') })
  const identity = identityOf(fields.get('deviceUUID'), driver, present({ vendorId: pciVendorId }))
  const apiVersion = versionIn(fields.get('apiVersion'))
  const [, gfx] = /\b(gfx\d{3,4}[0-9a-f]?)\b/i.exec(name ?? '') ?? []
  return present({
    vendor: vendors[Number(pciVendorId)] ?? 'other',
    source: tool,
    index,
    ...identity,
    pciAddress: addressOf(fields) ?? identity.pciAddress,
    pciVendorId,
    pciDeviceId: pciVendorId === undefined ? undefined : pciId(fields.get('deviceID')),
    name,
    kind: kindOf(fields.get('deviceType') ?? ''),
    driverVersion: textOf(fields.get('driverInfo')) ?? versionIn(fields.get('driverVersion')),
    runtime: apiVersion === undefined ? undefined : `Vulkan ${apiVersion}`,
    gfx: gfx?.toLowerCase(),
    // Its driver answered; other tools may not know that driver (NVK, an old ROCm).
    state: 'ok',
    ...memoryOf(heaps),
  })
}

function readText(text: string): ReadResult {
  const sections = sectionsOf(text)
  if (sections.length === 0) {
    const [error] = /^.*(?:ERROR_|error:|Cannot create).*$/im.exec(text) ?? []
    return refused(error === undefined ? 'no device stands under a line "GPU0:"' : error.trim().slice(0, 200))
  }
  const notes: string[] = []
  const devices: DeviceReading[] = []
  for (const section of sections) {
    const why = whyLeftOut(section)
    const name = section.fields.get('deviceName') ?? `GPU${section.index}`
    if (why === undefined) devices.push(readDevice(section))
    else notes.push(`${name} is left out: ${why}`)
  }
  return readingOf(tool, { devices, notes })
}

/** `vulkaninfo --summary` and the long form of `vulkaninfo`, of any version, whole or only its list of devices. */
export const vulkaninfoReader: OutputReader = {
  tool,
  matches: (text) =>
    /^[ \t]*GPU ?\d{1,3} ?:?[ \t\r]*$/m.test(text) && /^[ \t]*(?:deviceType|deviceName)[ \t]*=/m.test(text),
  read: readText,
}
