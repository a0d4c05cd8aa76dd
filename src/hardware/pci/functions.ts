import type { DeviceReading, PcieLink, PlaceReading, Reading, Vendor } from '../contract.ts'
import { numberOf, present } from '../units.ts'
import { linksBetween } from './path.ts'

/** What one source says of a PCI function; a field that it does not tell is absent. */
export interface PciFunction {
  /** As `pciAddressOf` gives it. */
  address: string
  /** Class and subclass: `0x0302` is a 3D controller. */
  classCode?: number
  vendorId?: string
  deviceId?: string
  name?: string
  uuid?: string
  serial?: string
  memoryTotalBytes?: number
  computeUnits?: number
  /** null: the source tells drivers, and this function has none. */
  driver?: string | null
  /** It is a share (SR-IOV) of another function that is here as well. */
  virtualFunction?: boolean
  /** Its registers read all ones: nothing answers at this address any more. */
  silent?: boolean
  numaNode?: number
  cpuAffinity?: string
  pcie?: PcieLink
  /** From the root port down to the card; see `pciPath`. */
  path?: string[]
}

const vendors: Readonly<Record<string, Vendor>> = {
  '0x10de': 'nvidia',
  '0x1002': 'amd',
  '0x8086': 'intel',
  '0x106b': 'apple',
}

/** The vendor that a PCI vendor id (`0x10de`) stands for; `other` where Drover has no probe of its own for it. */
export function vendorOfPciId(id: string | undefined): Vendor {
  return (id === undefined ? undefined : vendors[id]) ?? 'other'
}

/** A NUMA node's number; undefined where it is not told, for which the kernel writes -1 and hwloc 2^32 - 1. */
export function numaNodeOf(text: string | undefined): number | undefined {
  const node = numberOf(text)
  return node !== undefined && Number.isInteger(node) && node >= 0 && node < 2 ** 16 ? node : undefined
}

/** Displays of hypervisors and of board management controllers (https://pci-ids.ucw.cz): they compute nothing. */
const displaysOnly: Readonly<Record<string, string>> = {
  '0x1af4': 'a virtio display',
  '0x1b36': 'a QXL display',
  '0x1234': "QEMU's standard display",
  '0x1013': 'a Cirrus display',
  '0x15ad': "VMware's display",
  '0x80ee': "VirtualBox's display",
  '0x1414': "Hyper-V's display",
  '0x5853': "Xen's display",
  '0x1ab8': "Parallels' display",
  '0x1d0f': 'the display of a cloud instance',
  '0x1a03': 'the display of a management controller (ASPEED)',
  '0x102b': 'the display of a management controller (Matrox)',
  '0x126f': 'the display of a management controller (Silicon Motion)',
  '0x19e5': 'the display of a management controller (Huawei)',
}

/** ATI chips that were sold as displays of server boards. */
const serverDisplays = new Set(['0x4752', '0x515e', '0x5159'])

const isDisplay = (classCode: number) => classCode >> 8 === 0x03
const isAccelerator = (classCode: number) => classCode >> 8 === 0x12
const isOtherBridge = (classCode: number) => classCode === 0x0680

/** Why a display or an accelerator is no GPU that could serve a model; undefined where it is one. */
function whyNoGpu(fn: PciFunction): string | undefined {
  const { vendorId = '', deviceId = '', classCode = 0 } = fn
  if (isDisplay(classCode) && displaysOnly[vendorId] !== undefined) return displaysOnly[vendorId]
  if (vendorId === '0x1002' && serverDisplays.has(deviceId)) return 'the display of a server board (ATI)'
  if (isAccelerator(classCode) && vendorId === '0x8086') return 'a neural processing unit, not a GPU'
  if (isAccelerator(classCode) && vendorId === '0x10ee') return 'an FPGA'
  if (fn.virtualFunction) return 'a share (SR-IOV) of another card here'
  return undefined
}

/** Of the functions: the GPUs, and a note for each display or accelerator that is none. */
export function selectGpus(functions: readonly PciFunction[]): { gpus: PciFunction[]; notes: string[] } {
  const gpus: PciFunction[] = []
  const notes: string[] = []
  for (const fn of functions) {
    const { classCode = 0 } = fn
    if (!isDisplay(classCode) && !isAccelerator(classCode)) continue
    const why = whyNoGpu(fn)
    if (why === undefined) gpus.push(fn)
    else notes.push(`${fn.address}${fn.name === undefined ? '' : ` (${fn.name})`} is left out: ${why}`)
  }
  const switches = functions.filter((fn) => fn.vendorId === '0x10de' && isOtherBridge(fn.classCode ?? 0))
  if (switches.length > 0) notes.push(`${switches.length} NVSwitch bridges join GPUs by NVLink`)
  return { gpus, notes }
}

const bindAdvice: Readonly<Record<Vendor, string>> = {
  nvidia: 'install NVIDIA\'s driver for this kernel, then "modprobe nvidia"',
  amd: 'load it by "modprobe amdgpu"; where there is no such module, install the kernel\'s extra modules',
  intel: 'load it by "modprobe xe", or "modprobe i915" for cards older than Xe2',
  apple: "install the vendor's driver",
  cpu: "install the vendor's driver",
  other: "install the vendor's driver",
}

/** Drivers that hold a card for somebody else, or by which nothing can be computed here. */
const wrongDrivers: Readonly<Record<string, string>> = {
  'vfio-pci': 'is held for a virtual machine by vfio-pci: unbind it there to use it here',
  'pci-stub': 'is held for a virtual machine by pci-stub: unbind it there to use it here',
  'xen-pciback': 'is held for a virtual machine by xen-pciback: unbind it there to use it here',
  nouveau: "is bound to nouveau, which has no CUDA: install NVIDIA's driver and reboot",
  nvidiafb: "is bound to nvidiafb, which only draws: install NVIDIA's driver and reboot",
  radeon:
    'is bound to radeon, which has neither ROCm nor Vulkan: boot with "amdgpu.si_support=1 amdgpu.cik_support=1"',
}

/** The state as far as bus and driver tell it: a card that is well has none here, its vendor's tool knows more. */
export function stateOf(fn: PciFunction): Pick<DeviceReading, 'state' | 'stateReason'> {
  if (fn.silent) {
    return { state: 'lost', stateReason: 'the card does not answer on the PCI bus: reset it, or reboot' }
  }
  if (fn.driver === undefined) return {}
  if (fn.driver === null) {
    const advice = bindAdvice[vendorOfPciId(fn.vendorId)]
    return { state: 'error', stateReason: `no driver is bound: ${advice}` }
  }
  const wrong = wrongDrivers[fn.driver]
  return wrong === undefined ? {} : { state: 'error', stateReason: `the card ${wrong}` }
}

/** Intel's graphics of the processor stand at this address since 2004; its cards stand behind a bridge. */
function kindOf(fn: PciFunction): DeviceReading['kind'] {
  if (fn.vendorId !== '0x8086') return undefined
  if (fn.address === '0000:00:02.0') return 'integrated'
  return fn.address.startsWith('0000:00:') ? undefined : 'discrete'
}

/** One GPU as a reading. */
export function readingOfFunction(source: string, fn: PciFunction): DeviceReading {
  return present({
    vendor: vendorOfPciId(fn.vendorId),
    source,
    pciAddress: fn.address,
    pciVendorId: fn.vendorId,
    pciDeviceId: fn.deviceId,
    name: fn.name,
    uuid: fn.uuid,
    serial: fn.serial,
    memoryTotalBytes: fn.memoryTotalBytes,
    computeUnits: fn.computeUnits,
    kind: kindOf(fn),
    numaNode: fn.numaNode,
    pcie: fn.pcie,
    ...stateOf(fn),
  })
}

/** What a source says of all functions, as readings of the GPUs among them, their places and the ways between them. */
export function describeFunctions(
  source: string,
  functions: readonly PciFunction[],
): Pick<Reading, 'devices' | 'links' | 'places' | 'notes'> {
  const { gpus, notes } = selectGpus(functions)
  return {
    devices: gpus.map((fn) => readingOfFunction(source, fn)),
    links: linksBetween(gpus),
    places: gpus.flatMap(placeOf),
    notes,
  }
}

function placeOf({ address, numaNode, cpuAffinity }: PciFunction): PlaceReading[] {
  if (numaNode === undefined && cpuAffinity === undefined) return []
  return [present({ pciAddress: address, numaNode, cpuAffinity })]
}
