/** Cards as the driver shows them in `/sys/class/drm`, without any tool (`drivers/gpu/drm/amd/pm/amdgpu_pm.c`). */
import type { DeviceReading, EccCounts, HostSystem, PcieLink, PlaceReading } from '../contract.ts'
import { linkOf } from '../pci/link.ts'
import { bridgesAndCard, devicesFolder, pciPath, type SysfsFiles } from '../pci/path.ts'
import { numberOf, pciAddressOf, pciIdOf, present, textOf } from '../units.ts'
import { findHwmon, type Hwmon, readHwmon, readHwmonLimits } from './hwmon.ts'
import { cutsCard, isIntegrated, nameOf, numaNodeOf, serialOf, uniqueIdOf } from './identity.ts'
import { amdReading, filled, sensorsOf, shareOf } from './shape.ts'

const drmFolder = '/sys/class/drm'

/** One card's folder, with what it takes to read its sensors again without looking for them. */
export interface SysfsCard {
  /** `/sys/class/drm/card0/device`. */
  folder: string
  pciAddress?: string
  uuid?: string
  pciDeviceId?: string
  /** `/dev/dri/renderD128`. */
  renderFile?: string
  /** Where the slot's link ends: the card, or the switch on it. */
  linkFolder: string
  hwmon?: Hwmon
  integrated: boolean
  /** `amdgpu`; `radeon` shows none of this. */
  driver?: string
  /** Asking for errors takes the firmware milliseconds, so that the last answer holds for a while. */
  ecc?: { atMs: number; counts: EccCounts | undefined }
}

const eccHoldsMs = 30_000

/** All of AMD's cards that have a driver. */
export function findCards(files: SysfsFiles): SysfsCard[] {
  return files
    .list(drmFolder)
    .filter((name) => /^card\d+$/.test(name))
    .map((name) => `${drmFolder}/${name}/device`)
    .filter((folder) => /^0x1002\s*$/i.test(files.readText(`${folder}/vendor`) ?? ''))
    .map((folder) => findCard(files, folder))
}

function findCard(files: SysfsFiles, folder: string): SysfsCard {
  const uevent = files.readText(`${folder}/uevent`) ?? ''
  const slot = /^PCI_SLOT_NAME=(\S+)$/m.exec(uevent)?.[1]
  const pciAddress = pciAddressOf(slot ?? files.realPath(folder)?.split('/').at(-1))
  const pciDeviceId = pciIdOf(files.readText(`${folder}/device`))
  const render = files.list(`${folder}/drm`).find((name) => /^renderD\d+$/.test(name))
  return {
    folder,
    linkFolder: linkFolderOf(files, folder, pciAddress),
    integrated: isIntegrated(present({ pciDeviceId })),
    ...present({
      pciAddress,
      pciDeviceId,
      uuid: uniqueIdOf(files.readText(`${folder}/unique_id`)),
      renderFile: render === undefined ? undefined : `/dev/dri/${render}`,
      hwmon: findHwmon(files, `${folder}/hwmon`),
      driver: /^DRIVER=(\S+)$/m.exec(uevent)?.[1],
    }),
  }
}

/** Cards since Vega stand behind a small switch of their own, whose upper end is what the slot gives. */
function linkFolderOf(files: SysfsFiles, folder: string, pciAddress: string | undefined): string {
  if (pciAddress === undefined) return folder
  const chain = bridgesAndCard(files, pciAddress)
  const port = chain[pciPath(files, pciAddress).length - 1]
  return port === undefined || port === pciAddress ? folder : `${devicesFolder}/${port}`
}

/** A card with all that its folder tells. */
export function readCard(files: SysfsFiles, card: SysfsCard): DeviceReading {
  const text = (name: string) => textOf(files.readText(`${card.folder}/${name}`))
  const { totalBytes, usedBytes } = readMemory(files, card)
  const mode = text('current_compute_partition')
  const cut = cutsCard(mode)
  return amdReading('sysfs', {
    uuid: card.uuid,
    pciAddress: card.pciAddress,
    pciVendorId: '0x1002',
    pciDeviceId: card.pciDeviceId,
    name: nameOf(text('product_name')),
    serial: serialOf(text('serial_number')),
    kind: card.integrated ? 'integrated' : 'discrete',
    partitioned: mode === undefined ? undefined : cut,
    memoryTotalBytes: totalBytes,
    memoryFreeBytes:
      totalBytes === undefined || usedBytes === undefined ? undefined : Math.max(0, totalBytes - usedBytes),
    vbios: text('vbios_version'),
    numaNode: numaNodeOf(text('numa_node')),
    pcie: readWholeLink(files, card),
    sensors: { ...readSensors(files, card).sensors, ...readLimits(files, card) },
    ...stateOf(files, card),
  })
}

/** The partition mode that a card is in: `SPX`, `CPX`. */
export function partitionModeOf(files: SysfsFiles, card: SysfsCard): string | undefined {
  return textOf(files.readText(`${card.folder}/current_compute_partition`))?.toUpperCase()
}

export function placeOf(files: SysfsFiles, { folder, pciAddress }: SysfsCard): PlaceReading | undefined {
  const numaNode = numaNodeOf(textOf(files.readText(`${folder}/numa_node`)))
  const cpuAffinity = textOf(files.readText(`${folder}/local_cpulist`))
  return numaNode === undefined && cpuAffinity === undefined
    ? undefined
    : present({ pciAddress, numaNode, cpuAffinity })
}

/** The card's sensors now; a card that sleeps is not woken, and one that is gone or does not answer says so. */
export function readSensors(files: SysfsFiles, card: SysfsCard): DeviceReading {
  const identity = { uuid: card.uuid, pciAddress: card.pciAddress, ...stateOf(files, card) }
  if (identity.state !== undefined || isAsleep(files, card)) return amdReading('sysfs', identity)
  const number = (name: string) => numberOf(files.readText(`${card.folder}/${name}`))
  const { totalBytes, usedBytes } = readMemory(files, card)
  const hwmon = card.hwmon && readHwmon(files, card.hwmon)
  return amdReading('sysfs', {
    ...identity,
    sensors: sensorsOf({
      utilization: shareOf(number('gpu_busy_percent')),
      memoryUtilization: shareOf(number('mem_busy_percent')),
      memoryUsedBytes: usedBytes,
      memoryTotalBytes: totalBytes,
      graphicsClockMhz: hwmon?.graphicsClockMhz ?? activeLevel(files, card, 'pp_dpm_sclk'),
      memoryClockMhz: hwmon?.memoryClockMhz ?? activeLevel(files, card, 'pp_dpm_mclk'),
      ...hwmon,
      ecc: readEcc(files, card),
      pcie: readLink(files, card),
      pcieReplays: number('pcie_replay_count'),
    }),
  })
}

function isAsleep(files: SysfsFiles, { folder }: SysfsCard): boolean {
  return /^suspended\s*$/.test(files.readText(`${folder}/power/runtime_status`) ?? '')
}

function stateOf(files: SysfsFiles, card: SysfsCard): Pick<DeviceReading, 'state' | 'stateReason'> {
  if (files.readText(`${card.folder}/vendor`) === undefined) {
    const stateReason = 'the card is gone from the bus: reset it by its slot, or restart the machine'
    return { state: 'lost', stateReason }
  }
  const answers = files.readText(`${card.folder}/mem_info_vram_total`) !== undefined
  if (card.driver !== 'amdgpu' || answers || isAsleep(files, card)) return {}
  return {
    state: 'error',
    stateReason: 'amdgpu does not answer for the card: it is being reset, or hangs; look for it in "dmesg"',
  }
}

/**
 * Memory that a model may lie in. A processor's GPU takes what the BIOS set aside for it and, beyond that, host memory
 * that the driver maps for it (GTT); MI300A's memory is all told as its own.
 */
function readMemory(files: SysfsFiles, card: SysfsCard): { totalBytes?: number; usedBytes?: number } {
  const bytes = (name: string) => {
    const value = numberOf(files.readText(`${card.folder}/mem_info_${name}`))
    return value === undefined || value < 0 ? undefined : value
  }
  const [total, used] = [bytes('vram_total'), bytes('vram_used')]
  const shares = card.integrated && card.pciDeviceId !== '0x74a0'
  const [more = 0, moreUsed = 0] = shares ? [bytes('gtt_total'), bytes('gtt_used')] : []
  return present({
    totalBytes: total === undefined ? undefined : total + more,
    usedBytes: used === undefined ? undefined : used + moreUsed,
  })
}

/** The link as it is now; what a processor's own GPU writes there is no link that could be narrow. */
function readLink(files: SysfsFiles, { linkFolder, integrated }: SysfsCard): PcieLink | undefined {
  if (integrated) return undefined
  const read = (name: string) => files.readText(`${linkFolder}/${name}`)?.trim()
  return linkOf(read('current_link_speed'), read('current_link_width'))
}

/** The same with what card and slot could do. */
function readWholeLink(files: SysfsFiles, card: SysfsCard): PcieLink | undefined {
  if (card.integrated) return undefined
  const read = (name: string) => files.readText(`${card.linkFolder}/${name}`)?.trim()
  const most = linkOf(undefined, undefined, read('max_link_speed'), read('max_link_width'))
  return filled({ ...readLink(files, card), ...most })
}

function readEcc(files: SysfsFiles, card: SysfsCard): EccCounts | undefined {
  const atMs = performance.now()
  if (card.ecc === undefined || atMs - card.ecc.atMs > eccHoldsMs) {
    card.ecc = { atMs, counts: askEcc(files, card) }
  }
  return card.ecc.counts
}

/** Errors of the memory: `ue: 0` and `ce: 2`; pages taken out of use, one a line, end in `R`, those to come in `P`. */
function askEcc(files: SysfsFiles, { folder }: SysfsCard): EccCounts | undefined {
  const counts = files.readText(`${folder}/ras/umc_err_count`)
  if (counts === undefined) return undefined
  const count = (name: string) => numberOf(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(counts)?.[1])
  const pages = files.readText(`${folder}/ras/gpu_vram_bad_pages`)
  const marked = (mark: string) => pages?.match(new RegExp(`: *${mark} *$`, 'gm'))?.length ?? 0
  return filled(
    present({
      corrected: count('ce'),
      uncorrected: count('ue'),
      retired: pages === undefined ? undefined : marked('R'),
      pending: pages === undefined ? undefined : marked('P') > 0,
    }),
  )
}

/** What does not change from one look to the next. */
function readLimits(files: SysfsFiles, card: SysfsCard) {
  return present({
    graphicsClockMaxMhz: topLevel(files, card, 'pp_dpm_sclk'),
    memoryClockMaxMhz: topLevel(files, card, 'pp_dpm_mclk'),
    ...(card.hwmon && readHwmonLimits(files, card.hwmon)),
  })
}

/** `1: 991Mhz *` of a list of levels. */
function levelsOf(
  files: SysfsFiles,
  { folder }: SysfsCard,
  name: string,
): { mhz: number; active: boolean }[] {
  const lines = (files.readText(`${folder}/${name}`) ?? '').matchAll(/^\S+:\s*(\d+)\s*mhz(\s*\*)?/gim)
  return [...lines].map(([, mhz, star]) => ({ mhz: Number(mhz), active: star !== undefined }))
}

function topLevel(files: SysfsFiles, card: SysfsCard, name: string): number | undefined {
  const levels = levelsOf(files, card, name)
  return levels.length > 0 ? Math.max(...levels.map(({ mhz }) => mhz)) : undefined
}

function activeLevel(files: SysfsFiles, card: SysfsCard, name: string): number | undefined {
  return levelsOf(files, card, name).find(({ active }) => active)?.mhz
}

/** The driver's version: of AMD's own package its number, of the kernel's driver the kernel's. */
export function readDriverVersion(system: Pick<HostSystem, 'readText'>): string | undefined {
  return textOf(
    system.readText('/sys/module/amdgpu/version') ?? system.readText('/proc/sys/kernel/osrelease'),
  )
}
