/**
 * KFD's topology, which the kernel's driver shows without any tool: `/sys/class/kfd/kfd/topology/nodes/N` for each
 * NUMA node of the processors and each GPU or partition of one, with its memory and its links
 * (`drivers/gpu/drm/amd/amdkfd/kfd_topology.c`).
 */
import type { DeviceReading, LinkClass, LinkReading } from '../contract.ts'
import type { SysfsFiles } from '../pci/path.ts'
import { numberOf, pciAddressOf, pciIdOf, present } from '../units.ts'
import { gfxOfVersion, isIntegrated, nameOf, uniqueIdOfDecimal } from './identity.ts'
import { classOfType } from './matrix.ts'
import { addressOfLocation } from './runtime.ts'
import { amdReading, sensorsOf } from './shape.ts'

export const kfdFolder = '/sys/class/kfd/kfd/topology'

/** A GPU, or a partition of one, as KFD has it. */
export interface KfdNode {
  /** The number of its folder. */
  id: number
  /** Its place among the GPUs, by which `ROCR_VISIBLE_DEVICES` counts. */
  index: number
  /** Of the whole card. */
  cardAddress: string
  uniqueId?: string
  /** Its place among the partitions of its card; absent where the card is whole. */
  partition?: number
  /** `/dev/dri/renderD128` has 128. */
  renderMinor?: number
  reading: DeviceReading
}

type Properties = ReadonlyMap<string, string>

/** `name value` lines. */
function readProperties(files: SysfsFiles, path: string): Properties {
  const properties = new Map<string, string>()
  for (const [, name = '', value = ''] of (files.readText(path) ?? '').matchAll(
    /^(\S+)[ \t]+(\S+)[ \t]*$/gm,
  )) {
    properties.set(name, value)
  }
  return properties
}

/** The GPUs in KFD's order. A node that may not be read (a container has other cards) is left out. */
export function readKfdNodes(files: SysfsFiles): KfdNode[] {
  const nodes = files
    .list(`${kfdFolder}/nodes`)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .toSorted((a, b) => a - b)
    .map((id) => ({ id, folder: `${kfdFolder}/nodes/${id}` }))
    .map((node) => ({ ...node, properties: readProperties(files, `${node.folder}/properties`) }))
  const processors = nodes.filter(({ properties }) => numberIn(properties, 'cpu_cores_count') > 0)
  const gpus = nodes
    .filter(({ properties }) => numberIn(properties, 'simd_count') > 0)
    .map((node, index) => readNode(files, node, index, processors.length > 1))
  return gpus.map((gpu) => {
    const siblings = gpus.filter((other) => isSameCard(gpu, other))
    if (siblings.length > 1) return asPartition(gpu, siblings.indexOf(gpu))
    const first = gpus.find(({ cardAddress }) => cardAddress === gpu.cardAddress)
    return first === gpu ? gpu : withoutAddress(gpu)
  })
}

/** Of two cards that seem to be at one address one is in a domain that is not told. */
function withoutAddress(node: KfdNode): KfdNode {
  const { pciAddress: _, ...reading } = node.reading
  return { ...node, reading }
}

/** Kernels before 5.3 tell no PCI domain: two ids at one address are two cards. */
function isSameCard(a: KfdNode, b: KfdNode): boolean {
  return a.cardAddress === b.cardAddress && a.uniqueId === b.uniqueId
}

function numberIn(properties: Properties, name: string): number {
  return numberOf(properties.get(name)) ?? 0
}

function readNode(
  files: SysfsFiles,
  { id, folder, properties }: { id: number; folder: string; properties: Properties },
  index: number,
  severalNumaNodes: boolean,
): KfdNode {
  // Its lowest bits, and from kernel 6.9 on its highest four, hold the partition and not the function.
  const location = numberIn(properties, 'location_id') & 0xfff8
  const renderMinor = numberOf(properties.get('drm_render_minor'))
  const cardAddress =
    (properties.has('domain') ? undefined : addressOfRenderNode(files, renderMinor)) ??
    addressOfLocation(numberIn(properties, 'domain'), location)
  const uniqueId = uniqueIdOfDecimal(properties.get('unique_id'))
  const { totalBytes, usedBytes } = readMemory(files, folder)
  const deviceId = numberOf(properties.get('device_id'))
  const identity = present({
    pciDeviceId: deviceId === undefined ? undefined : pciIdOf(deviceId.toString(16).padStart(4, '0')),
    gfx: gfxOfVersion(numberOf(properties.get('gfx_target_version'))),
  })
  const perUnit = numberIn(properties, 'simd_per_cu')
  const isApu =
    totalBytes === undefined || numberIn(properties, 'cpu_cores_count') > 0 || isIntegrated(identity)
  const reading = amdReading('kfd', {
    index,
    uuid: uniqueId,
    pciAddress: cardAddress,
    pciVendorId: '0x1002',
    ...identity,
    name: marketName(files.readText(`${folder}/name`)),
    kind: isApu ? 'integrated' : 'discrete',
    memoryTotalBytes: totalBytes,
    memoryFreeBytes:
      totalBytes === undefined || usedBytes === undefined ? undefined : Math.max(0, totalBytes - usedBytes),
    computeUnits: perUnit > 0 ? Math.floor(numberIn(properties, 'simd_count') / perUnit) : undefined,
    numaNode: severalNumaNodes ? numaNodeOf(files, folder) : undefined,
    sensors: sensorsOf({
      memoryTotalBytes: totalBytes,
      memoryUsedBytes: usedBytes,
      graphicsClockMaxMhz: numberOf(properties.get('max_engine_clk_fcompute')),
    }),
  })
  return { id, index, cardAddress, reading, ...present({ uniqueId, renderMinor }) }
}

/** The card behind `renderD128`; a partition has a device of its own there, which is none on the bus. */
function addressOfRenderNode(files: SysfsFiles, minor: number | undefined): string | undefined {
  if (minor === undefined) return undefined
  return pciAddressOf(files.realPath(`/sys/class/drm/renderD${minor}/device`)?.split('/').at(-1))
}

/** The kernel writes a code name (`vega20`) or `ip discovery`, which are no names for people. */
function marketName(text: string | undefined): string | undefined {
  const name = nameOf(text?.trim() || undefined)
  return name !== undefined && /radeon|instinct|\bMI\d/i.test(name) ? name : undefined
}

/** Memory of its own: banks of the kinds public (1) and private (2), not the host's (0). */
function readMemory(files: SysfsFiles, folder: string): { totalBytes?: number; usedBytes?: number } {
  let totalBytes: number | undefined
  let usedBytes: number | undefined
  for (const bank of files.list(`${folder}/mem_banks`)) {
    const properties = readProperties(files, `${folder}/mem_banks/${bank}/properties`)
    const size = numberOf(properties.get('size_in_bytes'))
    if (size === undefined || size <= 0 || !/^[12]$/.test(properties.get('heap_type') ?? '')) continue
    totalBytes = (totalBytes ?? 0) + size
    const used = numberOf(files.readText(`${folder}/mem_banks/${bank}/used_memory`))
    if (used !== undefined && used >= 0) usedBytes = (usedBytes ?? 0) + used
  }
  return present({ totalBytes, usedBytes })
}

/** Nodes of processors come first and are numbered as the NUMA nodes; a GPU has one direct link, to its own. */
function numaNodeOf(files: SysfsFiles, folder: string): number | undefined {
  const links = readLinks(files, folder, 'io_links').filter(({ type }) => type === 2)
  return links.length === 1 ? links[0]?.to : undefined
}

function asPartition(node: KfdNode, partition: number): KfdNode {
  const { pciAddress, uuid, ...reading } = node.reading
  return {
    ...node,
    partition,
    reading: {
      ...reading,
      kind: 'partition',
      ...(uuid !== undefined && { uuid: `${uuid}/${partition}` }),
      parent: present({ uuid, pciAddress }),
    },
  }
}

interface KfdLink {
  type: number
  to: number
  weight: number
  megabytesPerSecond: number
  enabled: boolean
}

function readLinks(files: SysfsFiles, folder: string, kind: 'io_links' | 'p2p_links'): KfdLink[] {
  return files.list(`${folder}/${kind}`).map((name) => {
    const properties = readProperties(files, `${folder}/${kind}/${name}/properties`)
    return {
      type: numberIn(properties, 'type'),
      to: numberOf(properties.get('node_to')) ?? -1,
      weight: numberIn(properties, 'weight'),
      megabytesPerSecond: numberIn(properties, 'max_bandwidth'),
      enabled: (numberIn(properties, 'flags') & 1) === 1,
    }
  })
}

/** `CRAT_IOLINK_TYPE_*`: of those between GPUs, 2 is PCIe and 11 xGMI. */
const types: Readonly<Record<number, string>> = { 2: 'PCIE', 11: 'XGMI' }

/** The ways between GPUs, each pair once. Both ends carry their number, whole cards their address too. */
export function readKfdLinks(files: SysfsFiles, nodes: readonly KfdNode[]): LinkReading[] {
  const found = new Map<string, LinkReading>()
  for (const from of nodes) {
    const folder = `${kfdFolder}/nodes/${from.id}`
    for (const link of [...readLinks(files, folder, 'io_links'), ...readLinks(files, folder, 'p2p_links')]) {
      const to = nodes.find(({ id }) => id === link.to)
      const type = types[link.type]
      if (!to || type === undefined || to === from) continue
      const key = [from.id, to.id].sort((a, b) => a - b).join(' ')
      if (!found.has(key)) found.set(key, linkOf(from, to, type, link))
    }
  }
  return [...found.values()]
}

function linkOf(from: KfdNode, to: KfdNode, type: string, link: KfdLink): LinkReading {
  const onOneCard = isSameCard(from, to)
  const numa = [from.reading.numaNode, to.reading.numaNode] as const
  const linkClass: LinkClass = onOneCard ? 'same_board' : classOfType(type, undefined, link.weight, ...numa)
  return present({
    a: endOf(from),
    b: endOf(to),
    class: linkClass,
    label: type,
    gbPerSecond: link.megabytesPerSecond > 0 ? link.megabytesPerSecond / 1000 : undefined,
    peerAccess: link.enabled,
  })
}

function endOf({ index, cardAddress, partition, reading }: KfdNode): LinkReading['a'] {
  const pciAddress = partition === undefined ? reading.pciAddress : cardAddress
  return present({ index, pciAddress })
}

/** How full a partition is now; the other sensors are its card's. */
export function readKfdMemory(files: SysfsFiles, { id, index, reading }: KfdNode): DeviceReading {
  const { totalBytes, usedBytes } = readMemory(files, `${kfdFolder}/nodes/${id}`)
  return amdReading('kfd', {
    index,
    kind: 'partition',
    uuid: reading.uuid,
    parent: reading.parent,
    sensors: sensorsOf({ memoryTotalBytes: totalBytes, memoryUsedBytes: usedBytes }),
  })
}
