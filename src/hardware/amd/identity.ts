/** What makes out one of AMD's GPUs: its ids in the forms of the tools, and what kind of GPU it is. */
import type { DeviceReading } from '../contract.ts'
import { numberOf } from '../units.ts'

/**
 * The id that is burnt into a chip as `0x` and 16 digits, from any form of it: `0x8d14…`, `8d14…`, ROCr's `GPU-8d14…`,
 * or amd-smi's UUID, which holds its digits apart (`deff740f-0000-1000-8082-87300da37c72` is 0xde8287300da37c72).
 * Undefined where there is none: `N/A`, `GPU-XX`, all zeros.
 */
export function uniqueIdOf(text: string | undefined): string | undefined {
  const words = text?.trim().toLowerCase() ?? ''
  const parts = /^([0-9a-f]{2})[0-9a-f]{6}-0000-1000-80([0-9a-f]{2})-([0-9a-f]{12})$/.exec(words)
  const digits = parts ? parts.slice(1).join('') : /^(?:0x|gpu-)?([0-9a-f]{12,16})$/.exec(words)?.[1]
  if (digits === undefined || /^0+$/.test(digits)) return undefined
  return `0x${digits.padStart(16, '0')}`
}

/** The same from the decimal number in KFD's topology. */
export function uniqueIdOfDecimal(text: string | undefined): string | undefined {
  if (text === undefined || !/^\d{1,20}$/.test(text)) return undefined
  return uniqueIdOf(`0x${BigInt(text).toString(16).padStart(16, '0')}`)
}

/** `gfx90a` of `gfx90a:sramecc+:xnack-`; undefined where no such name is in the text. */
export function gfxOf(text: string | undefined): string | undefined {
  return /\bgfx[0-9]{2,4}[0-9a-f]\b/i.exec(text ?? '')?.[0].toLowerCase()
}

/** `gfx942` of KFD's 90402: major, minor and stepping in two decimal digits each, the last two hexadecimal in the name. */
export function gfxOfVersion(version: number | undefined): string | undefined {
  if (version === undefined || version < 10_000 || version > 999_999) return undefined
  const [major, minor, step] = [Math.floor(version / 10_000), Math.floor(version / 100) % 100, version % 100]
  return `gfx${major}${minor.toString(16)}${step.toString(16)}`
}

/** A name for people: not a PCI id that stands where the tool knew none (`0x1586`). */
export function nameOf(...texts: (string | undefined)[]): string | undefined {
  return texts.find((text) => text !== undefined && !/^0x[0-9a-f]+$/i.test(text) && !/^[0\s]*$/.test(text))
}

/** A serial number; boards without one answer 0. */
export function serialOf(text: string | undefined): string | undefined {
  return text === undefined || /^0*$/.test(text) || /[<>*]/.test(text) ? undefined : text
}

/** A driver's version; that of a kernel's own driver is the kernel's, which amd-smi prints with all that built it. */
export function driverVersionOf(text: string | undefined): string | undefined {
  return text === undefined ? undefined : (/^linux\s*version\s*([^\s(]+)/i.exec(text)?.[1] ?? text)
}

/** A NUMA node; the tools print -1 as 4294967295. */
export function numaNodeOf(text: string | undefined): number | undefined {
  const node = numberOf(text)
  return node === undefined || node < 0 || node > 4096 || !Number.isInteger(node) ? undefined : node
}

/** GPUs that are part of a processor, by LLVM's list of targets (https://llvm.org/docs/AMDGPUUsage.html). */
const integratedGfx = /^gfx(700|801|902|909|90c|1013|1033|1035|1036|1037|1103|1150|1151|1152|1153)$/

const integratedNames =
  /\b(MI300A|[67]40M|6[168]0M|7[68]0M|8[4689]0M|80[456]0S|Raphael|Rembrandt|Phoenix\d?|Renoir|Cezanne|Lucienne|Barcelo|Picasso|Raven|Mendocino|Van ?Gogh|Strix|Krackan|Granite Ridge|Hawk Point|Dragon Range|Kaveri|Carrizo|Stoney|Mullins|Kabini)\b|Radeon(\(TM\))?( RX)?( Vega( \d+)?)? Graphics\b/i

/**
 * Whether a GPU shares the host's memory, by its PCI id, else by its gfx target or name. Those of processors have ids
 * up to 0x1fff, or 0x98xx and 0x99xx; those of boards begin at 0x6600 (https://pci-ids.ucw.cz/read/PC/1002). MI300A,
 * numbered among boards, is the exception.
 */
export function isIntegrated({ pciDeviceId, gfx, name }: Partial<DeviceReading>): boolean {
  if (pciDeviceId !== undefined) {
    const id = Number.parseInt(pciDeviceId, 16)
    return id < 0x2000 || (id >= 0x9800 && id <= 0x99ff) || id === 0x74a0
  }
  return integratedGfx.test(gfx ?? '') || integratedNames.test(name ?? '')
}

/** Whether a compute partition mode cuts the card: all but SPX (and no word at all) do. */
export function cutsCard(mode: string | undefined): mode is string {
  return mode !== undefined && /^(DPX|TPX|QPX|CPX)$/i.test(mode.trim())
}

/** The address of the whole card: tools write a partition's number in place of the function. */
export function cardAddressOf(address: string): string {
  return address.replace(/\.[0-7]$/, '.0')
}
