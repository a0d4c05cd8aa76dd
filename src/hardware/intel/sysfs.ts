import type { DeviceKind, DeviceReading, OutputReader, ReadResult } from '../contract.ts'
import { bridgesAndCard, devicesFolder, type SysfsFiles, withoutOwnSwitch } from '../pci/path.ts'
import { readSysfsLink } from '../pci/sysfs.ts'
import { recordedSysfs } from '../pci/sysfs-record.ts'
import { parseMeminfo } from '../proc.ts'
import { readingOf, refused } from '../reading.ts'
import { numberOf, pciAddressOf, pciIdOf, present } from '../units.ts'
import { knownGpu } from './names.ts'
import { readMemory, readSensors } from './sensors.ts'

const drmFolder = '/sys/class/drm'

/** One of Intel's GPUs that a kernel driver holds. */
export interface DrmCard {
  /** `/sys/class/drm/card1`. */
  folder: string
  driver?: string
  address?: string
  deviceId?: string
  /** `renderD128`: what programs open to compute; absent where the driver gives none. */
  renderNode?: string
  /** The address at which the slot's link is read: the uppermost bridge on the card, or the card. */
  port?: string
}

/** All GPUs of Intel's under `/sys/class/drm` that i915 or xe holds, in the order of their PCI addresses. */
export function findCards(files: SysfsFiles): DrmCard[] {
  return files
    .list(drmFolder)
    .filter((name) => /^card\d+$/.test(name))
    .flatMap((name) => readCard(files, `${drmFolder}/${name}`) ?? [])
    .toSorted((a, b) => (a.address ?? a.folder).localeCompare(b.address ?? b.folder))
}

/** `uevent` holds it all in one file; the single files are for records that leave it out. */
function readCard(files: SysfsFiles, folder: string): DrmCard | undefined {
  const read = (name: string) => files.readText(`${folder}/device/${name}`)?.trim()
  const uevent = new Map((read('uevent') ?? '').split('\n').map((line) => splitAt(line, '=')))
  const [vendor, device] = splitAt(uevent.get('PCI_ID') ?? '', ':')
  const vendorId = pciIdOf(vendor) ?? pciIdOf(read('vendor'))
  const driver = uevent.get('DRIVER') ?? files.realPath(`${folder}/device/driver`)?.split('/').at(-1)
  if (vendorId !== '0x8086' || (driver !== undefined && !/^(i915|xe)$/.test(driver))) return undefined
  // A share of a card that is itself here.
  if (files.realPath(`${folder}/device/physfn`) !== undefined) return undefined
  const address = pciAddressOf(
    uevent.get('PCI_SLOT_NAME') ?? files.realPath(`${folder}/device`)?.split('/').at(-1),
  )
  return present({
    folder,
    driver,
    address,
    deviceId: pciIdOf(device) ?? pciIdOf(read('device')),
    renderNode: files.list(`${folder}/device/drm`).find((node) => /^renderD\d+$/.test(node)),
    port: address === undefined ? undefined : portOf(files, address),
  })
}

function splitAt(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function portOf(files: SysfsFiles, address: string): string | undefined {
  const vendorOf = (at: string) => files.readText(`${devicesFolder}/${at}/vendor`)?.trim()
  return withoutOwnSwitch(bridgesAndCard(files, address), vendorOf).port
}

/** The card as its folder tells it, with a first look at its sensors. */
export function readDrmCard(files: SysfsFiles, card: DrmCard): DeviceReading {
  const { address, deviceId, driver } = card
  const known = knownGpu(deviceId)
  const memory = readMemory(files, card)
  const kind = kindOf(card, memory.memoryTotalBytes)
  const node = numberOf(files.readText(`${card.folder}/device/numa_node`))
  const sensors = readSensors(files, card)
  return present({
    vendor: 'intel' as const,
    source: driver === undefined ? 'sysfs drm' : `sysfs ${driver}`,
    pciAddress: address,
    pciVendorId: '0x8086',
    pciDeviceId: deviceId,
    name: known?.name,
    kind,
    ...(kind === 'integrated' ? sharedMemory(files) : cardMemory(files, card, memory)),
    driverVersion: driverVersion(files, driver),
    numaNode: node !== undefined && node >= 0 ? node : undefined,
    ...readLink(files, card),
    sensors: Object.keys(sensors).length > 0 ? sensors : undefined,
  })
}

/**
 * The link of the slot as negotiated, and whether the card still answers. Arc cards carry a switch of their own: behind
 * it the card says 2.5 GT/s and one lane whatever the slot does, so the switch is asked. Where the switch is not to be
 * seen, as in a virtual machine, that figure is no answer.
 */
export function readLink(
  files: SysfsFiles,
  { address, port }: DrmCard,
): Pick<DeviceReading, 'pcie' | 'state' | 'stateReason'> {
  if (address === undefined) return {}
  const { pcie, silent } = readSysfsLink(files, address, port)
  if (silent)
    return { state: 'lost', stateReason: 'the card does not answer on the PCI bus: reset it, or reboot' }
  const isInside = pcie?.maxGeneration === 1 && pcie.maxWidth === 1
  return pcie === undefined || isInside ? {} : { pcie }
}

/** A card has memory of its own or is known as one; the processor's graphics stand at 00:02.0. */
function kindOf({ address, deviceId }: DrmCard, ownBytes: number | undefined): DeviceKind | undefined {
  if (ownBytes !== undefined) return 'discrete'
  const known = knownGpu(deviceId)?.kind
  if (known !== undefined || address === undefined) return known
  return address.endsWith(':00:02.0') ? 'integrated' : 'discrete'
}

/**
 * Total and free bytes. Where the driver does not tell, the window through which the processor sees the card's memory
 * says it (a power of two, so it may be more than there is), and else the specification of the card.
 */
function cardMemory(
  files: SysfsFiles,
  card: DrmCard,
  { memoryTotalBytes: total, memoryUsedBytes: used }: ReturnType<typeof readMemory>,
): Pick<DeviceReading, 'memoryTotalBytes' | 'memoryFreeBytes'> {
  if (total !== undefined) {
    return present({ memoryTotalBytes: total, memoryFreeBytes: used && Math.max(0, total - used) })
  }
  const { vramGiB } = knownGpu(card.deviceId) ?? {}
  const byTable = vramGiB === undefined ? undefined : vramGiB * 1024 ** 3
  const window = memoryWindow(files, card)
  return present({ memoryTotalBytes: window === undefined ? byTable : Math.min(window, byTable ?? window) })
}

/** Bytes of the window (BAR 2), where it is resized to the whole memory; without that it is 256 MiB. */
function memoryWindow(files: SysfsFiles, { folder }: DrmCard): number | undefined {
  const line = files.readText(`${folder}/device/resource`)?.split('\n')[2] ?? ''
  const [, first, last] = /^(0x[0-9a-f]+) (0x[0-9a-f]+) /i.exec(line) ?? []
  const bytes = Number(last) - Number(first) + 1
  return Number.isSafeInteger(bytes) && bytes > 256 * 1024 ** 2 ? bytes : undefined
}

/**
 * What a processor's graphics may take of the host's memory: half of up to 4 GiB, three quarters of more, as Mesa's
 * Vulkan driver shares it out (src/intel/vulkan/anv_device.c).
 */
function sharedMemory(files: SysfsFiles) {
  const text = files.readText('/proc/meminfo') ?? ''
  const [all, available] = [parseMeminfo(text, 'MemTotal'), parseMeminfo(text, 'MemAvailable')]
  if (all === undefined) return {}
  const total = Math.floor(all * (all <= 4 * 1024 ** 3 ? 0.5 : 0.75))
  return {
    memoryTotalBytes: total,
    memoryFreeBytes: available === undefined ? undefined : Math.min(available, total),
  }
}

/** A driver of the kernel's own has no version but the kernel's. */
function driverVersion(files: SysfsFiles, driver: string | undefined): string | undefined {
  if (driver === undefined) return undefined
  const version =
    files.readText(`/sys/module/${driver}/version`)?.trim() ||
    files.readText('/proc/sys/kernel/osrelease')?.trim()
  return version ? `${driver} ${version}` : undefined
}

/** `grep . /sys/class/drm/card0/device/*`: lines of path, colon, value. */
function linesAsRecord(text: string): string | undefined {
  const files: Record<string, string> = {}
  for (const line of text.split(/\r?\n/)) {
    const [, path, value = ''] = /^(\/sys\/(?:[^\s:]|:(?=[0-9a-f]{2}[:.]))+):\s?(.*)$/.exec(line) ?? []
    if (path !== undefined) files[path] = path in files ? `${files[path]}\n${value}` : value
  }
  return Object.keys(files).length > 0 ? JSON.stringify({ files }) : undefined
}

const isRecord = (text: string) => /^\s*\{/.test(text)

function read(text: string): ReadResult {
  const record = isRecord(text) ? text : linesAsRecord(text)
  const files = record === undefined ? undefined : recordedSysfs(record)
  if (files === undefined)
    return refused('neither JSON of the form {"files": {path: text}} nor lines of path and value')
  const cards = findCards(files)
  if (cards.length === 0) return refused("the record holds no card of Intel's under /sys/class/drm")
  return readingOf('sysfs drm (recorded)', { devices: cards.map((card) => readDrmCard(files, card)) })
}

/** A recorded part of sysfs with one of Intel's cards in it: JSON of paths and texts, or the output of `grep .`. */
export const drmReader: OutputReader = {
  tool: 'sysfs drm (recorded)',
  matches(text) {
    const head = text.slice(0, 200_000)
    const paths = isRecord(head) ? /"\/?sys\/class\/drm\/card\d+\// : /^\/sys\/class\/drm\/card\d+\/\S+:/m
    return paths.test(head) && /8086|\/(?:i915|xe)"/.test(head)
  },
  read,
}
