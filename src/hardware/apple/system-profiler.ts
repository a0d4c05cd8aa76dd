import { z } from 'zod'
import type { DeviceReading, OutputReader, Vendor } from '../contract.ts'
import { linkOf } from '../pci/link.ts'
import { readingOf, refused } from '../reading.ts'
import { bytesOf, numberOf, pciIdOf, present, textOf } from '../units.ts'

const tool = 'system_profiler SPDisplaysDataType'

/** One graphics processor; the keys are those of macOS 10.13 to 26. */
const Entry = z.object({
  _name: z.string().optional().catch(undefined),
  sppci_model: z.string().optional().catch(undefined),
  sppci_cores: z.coerce.string().optional().catch(undefined),
  sppci_bus: z.string().optional().catch(undefined),
  spdisplays_vendor: z.string().optional().catch(undefined),
  'spdisplays_vendor-id': z.string().optional().catch(undefined),
  'spdisplays_device-id': z.string().optional().catch(undefined),
  spdisplays_vram: z.string().optional().catch(undefined),
  _spdisplays_vram: z.string().optional().catch(undefined),
  spdisplays_vram_shared: z.string().optional().catch(undefined),
  spdisplays_pcie_width: z.string().optional().catch(undefined),
  'spdisplays_rom-revision': z.string().optional().catch(undefined),
  spdisplays_metal: z.string().optional().catch(undefined),
  spdisplays_mtlgpufamilysupport: z.string().optional().catch(undefined),
})
type Entry = z.infer<typeof Entry>

const Profile = z.object({ SPDisplaysDataType: z.array(Entry) })

const vendorWords: readonly (readonly [RegExp, Vendor])[] = [
  [/apple|106b/i, 'apple'],
  [/nvidia|geforce|quadro|10de/i, 'nvidia'],
  [/\bamd|_amd|ati\b|radeon|firepro|1002/i, 'amd'],
  [/intel|iris|8086/i, 'intel'],
]

/** The vendor by its own key, else by the model's name. */
function vendorOf(...texts: readonly (string | undefined)[]): Vendor {
  for (const text of texts) {
    const found = vendorWords.find(([words]) => words.test(text ?? ''))
    if (found !== undefined) return found[1]
  }
  return 'other'
}

/**
 * The family of Metal that a GPU has: `spdisplays_metal3` is `Metal 3`, older systems name the feature set, and some
 * say no more than that there is Metal.
 */
export function metalOf(...texts: readonly (string | undefined)[]): string | undefined {
  const told = texts.filter((text) => text !== undefined)
  for (const text of told) {
    const [, version] = /metal\s?(\d+)$/i.exec(text) ?? []
    if (version !== undefined) return `Metal ${version}`
  }
  return told.some((text) => /metal|_supported$/i.test(text) && !/notsupported/i.test(text))
    ? 'Metal'
    : undefined
}

function kindOf(vendor: Vendor, ownBytes?: number, sharedBytes?: number): DeviceReading['kind'] {
  if (vendor === 'apple' || sharedBytes !== undefined) return 'integrated'
  return ownBytes === undefined ? undefined : 'discrete'
}

function readEntry(entry: Entry, index: number): DeviceReading {
  const name = textOf(entry.sppci_model) ?? textOf(entry._name)
  const vendor = vendorOf(entry.spdisplays_vendor, entry['spdisplays_vendor-id'], name)
  const [ownBytes, sharedBytes] = [
    bytesOf(entry._spdisplays_vram ?? entry.spdisplays_vram, 'mb'),
    bytesOf(entry.spdisplays_vram_shared, 'mb'),
  ]
  return present({
    vendor,
    source: tool,
    index,
    name,
    kind: kindOf(vendor, ownBytes, sharedBytes),
    memoryTotalBytes: ownBytes ?? sharedBytes,
    computeUnits: numberOf(entry.sppci_cores),
    runtime: metalOf(entry.spdisplays_mtlgpufamilysupport, entry.spdisplays_metal),
    pciVendorId: pciIdOf(entry['spdisplays_vendor-id']),
    pciDeviceId: pciIdOf(entry['spdisplays_device-id']),
    pcie: linkOf(undefined, entry.spdisplays_pcie_width),
    vbios: textOf(entry['spdisplays_rom-revision']),
  })
}

/** `system_profiler SPDisplaysDataType -json`. */
export const systemProfilerReader: OutputReader = {
  tool,
  matches: (text) => /^\s*\{/.test(text) && text.includes('"SPDisplaysDataType"'),
  read(text) {
    const profile = parse(text)
    if (profile === undefined) return refused('no JSON with a list "SPDisplaysDataType"')
    const named = profile.SPDisplaysDataType.filter((entry) => textOf(entry.sppci_model ?? entry._name))
    const nameless = profile.SPDisplaysDataType.length - named.length
    const notes = nameless > 0 ? [`${nameless} entries without a name are left out`] : []
    return readingOf(tool, { devices: named.map(readEntry), notes })
  },
}

function parse(text: string): z.infer<typeof Profile> | undefined {
  try {
    return Profile.safeParse(JSON.parse(text)).data
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
