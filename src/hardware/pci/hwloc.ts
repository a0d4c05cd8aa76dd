import { XMLParser } from 'fast-xml-parser'
import { z } from 'zod'
import type { LinkReading, OutputReader, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { bytesOf, numberOf, pciAddressOf, present } from '../units.ts'
import { describeFunctions, numaNodeOf, type PciFunction } from './functions.ts'
import { bandwidthLinks, DistancesSchema, numaDistances } from './hwloc-distances.ts'
import { withoutOwnSwitch } from './path.ts'

const tool = 'lstopo (XML)'

const Infos = z.array(z.object({ name: z.string(), value: z.string() })).default([])

const HwlocObject = z.object({
  type: z.string(),
  subtype: z.string().optional(),
  os_index: z.string().optional(),
  gp_index: z.string().optional(),
  name: z.string().optional(),
  pci_busid: z.string().optional(),
  pci_type: z.string().optional(),
  info: Infos,
  get object() {
    return z.array(HwlocObject).default([])
  },
})
type HwlocObject = z.infer<typeof HwlocObject>

const Topology = z.object({
  topology: z.object({
    object: z.array(HwlocObject),
    distances2: z.array(DistancesSchema).default([]),
    distances2hetero: z.array(DistancesSchema).default([]),
  }),
})

const repeated = new Set(['object', 'info', 'distances2', 'distances2hetero', 'indexes', 'u64values'])
const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  processEntities: false,
  isArray: (name) => repeated.has(name),
})

/** What was found on the way down the tree. */
interface Found {
  functions: PciFunction[]
  /** Vendor of each bridge and card, for telling a card's own switch. */
  vendorIds: Map<string, string>
  /** The PCI address that each `gp_index` stands on or in. */
  addressOfGp: Map<string, string>
  /** `gp_index` of NVSwitch bridges. */
  switches: Set<string>
}

/** `0302 [10de:1db8] [10de:131d] a1 00`: class, ids of the device, ids of the board. Zeros stand for "not told". */
function readPciType(text: string | undefined): Pick<PciFunction, 'classCode' | 'vendorId' | 'deviceId'> {
  const [, code = '', vendor, device] =
    /^([0-9a-f]{4}) \[([0-9a-f]{4}):([0-9a-f]{4})\]/i.exec(text ?? '') ?? []
  const idOf = (digits: string | undefined) =>
    digits === undefined || vendor === '0000' ? undefined : `0x${digits.toLowerCase()}`
  return present({
    classCode: code === '' ? undefined : Number.parseInt(code, 16),
    vendorId: idOf(vendor),
    deviceId: idOf(device),
  })
}

/** hwloc knows such a bridge even where it could not read its type. */
const nvSwitch = { classCode: 0x0680, vendorId: '0x10de' }

/** What CUDA, NVML, ROCm SMI, Level Zero and OpenCL told hwloc about the card; the first that says it counts. */
function readInfos(device: HwlocObject): Partial<PciFunction> {
  const infos = new Map<string, string>()
  for (const { name, value } of device.object.flatMap((inside) => inside.info)) {
    if (!infos.has(name)) infos.set(name, value)
  }
  const first = (...names: string[]) =>
    names.map((name) => infos.get(name)).find((value) => value !== undefined)
  return present({
    name: first('GPUModel', 'LevelZeroModel', 'PCIDevice'),
    uuid: first('NVIDIAUUID', 'AMDUUID', 'LevelZeroUUID'),
    serial: first('NVIDIASerial', 'AMDSerial', 'LevelZeroSerialNumber'),
    memoryTotalBytes: bytesOf(first('CUDAGlobalMemorySize', 'RSMIVRAMSize', 'OpenCLGlobalMemorySize'), 'kib'),
    computeUnits: numberOf(first('CUDAMultiProcessors', 'OpenCLComputeUnits')),
  })
}

/** The node beside which the children of an object stand. GPUs may bring nodes of their own, which are not it. */
function numaNodeIn(object: HwlocObject): number | undefined {
  if (object.type === 'NUMANode') return numaNodeOf(object.os_index)
  const nodes = object.object.filter((child) => child.type === 'NUMANode' && child.subtype !== 'GPUMemory')
  return nodes.length === 1 ? numaNodeOf(nodes[0]?.os_index) : undefined
}

function walk(object: HwlocObject, bridges: readonly string[], outerNode: number | undefined, found: Found) {
  const address = pciAddressOf(object.pci_busid)
  const path = address === undefined ? bridges : [...bridges, address]
  const numaNode = numaNodeIn(object) ?? outerNode
  const pci = object.subtype === 'NVSwitch' ? nvSwitch : readPciType(object.pci_type)
  if (address !== undefined && pci.vendorId !== undefined) found.vendorIds.set(address, pci.vendorId)
  if (object.type === 'PCIDev' && address !== undefined) {
    found.functions.push(present({ address, ...pci, ...readInfos(object), numaNode, path: [...path] }))
  }
  if (object.gp_index !== undefined && path.at(-1) !== undefined) {
    found.addressOfGp.set(object.gp_index, path.at(-1) ?? '')
  }
  if (object.subtype === 'NVSwitch' && object.gp_index !== undefined) found.switches.add(object.gp_index)
  for (const child of object.object) walk(child, path, numaNode, found)
}

function read(text: string): ReadResult {
  const parsed = Topology.safeParse(parser.parse(text, true))
  if (!parsed.success) return refused('the XML holds no hwloc topology')
  const { object, distances2, distances2hetero } = parsed.data.topology
  const found: Found = { functions: [], vendorIds: new Map(), addressOfGp: new Map(), switches: new Set() }
  for (const root of object) walk(root, [], undefined, found)
  const functions = found.functions.map((fn) => ({
    ...fn,
    path: withoutOwnSwitch(fn.path ?? [], (at) => found.vendorIds.get(at)).path,
  }))
  const described = describeFunctions(tool, functions)
  const distances = [...distances2, ...distances2hetero]
  const ownLinks = bandwidthLinks(distances, found.addressOfGp, found.switches)
  const pairOf = ({ a, b }: LinkReading) => [a.pciAddress, b.pciAddress].sort().join(' ')
  const joined = new Set(ownLinks.map(pairOf))
  const others = described.links.filter((link) => !joined.has(pairOf(link)))
  const notes = [...described.notes, ...numaDistances(distances)]
  if (described.devices.length === 0) notes.push('the topology holds no GPU on the PCI bus')
  return readingOf(tool, { ...described, links: [...ownLinks, ...others], notes })
}

/** `lstopo --of xml` and `lstopo file.xml` (hwloc 2 and 3). */
export const hwlocReader: OutputReader = {
  tool,
  matches: (text) => /^\s*(?:<\?xml[^>]*\?>\s*)?(?:<!DOCTYPE topology[^>]*>\s*)?<topology\b/.test(text),
  read(text) {
    try {
      return read(text)
    } catch (error) {
      return refused(`the XML cannot be read: ${error instanceof Error ? error.message : String(error)}`)
    }
  },
}
