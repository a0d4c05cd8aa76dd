/** Vendors as `pci.ids` writes them in front of a device's name, with the id that each stands for. */
const vendorNames: readonly (readonly [RegExp, string])[] = [
  [/^nvidia(?: corporation)?(?=\s|$)/i, '0x10de'],
  [/^advanced micro devices,? inc\.? \[amd\/ati\]/i, '0x1002'],
  [/^ati technologies inc\.?/i, '0x1002'],
  [/^advanced micro devices,? inc\.? \[amd\]/i, '0x1022'],
  [/^intel corporation/i, '0x8086'],
  [/^apple inc\.?/i, '0x106b'],
  [/^red hat,? inc\.?/i, '0x1af4'],
  [/^vmware/i, '0x15ad'],
  [/^(?:innotek systemberatung gmbh|oracle corporation)/i, '0x80ee'],
  [/^cirrus logic/i, '0x1013'],
  [/^microsoft corporation/i, '0x1414'],
  [/^xensource,? inc\.?/i, '0x5853'],
  [/^aspeed technology,? inc\.?/i, '0x1a03'],
  [/^matrox electronics systems ltd\.?/i, '0x102b'],
  [/^silicon motion,? inc\.?/i, '0x126f'],
  [/^huawei technologies co\.,? ltd\.?/i, '0x19e5'],
  [/^amazon\.com,? inc\.?/i, '0x1d0f'],
]

/** The PCI vendor id that a text begins with the name of, and what follows that name. */
export function splitVendor(text: string): { vendorId?: string; rest: string } {
  for (const [pattern, vendorId] of vendorNames) {
    const found = pattern.exec(text)
    if (found) return { vendorId, rest: text.slice(found[0].length).trim() }
  }
  return { rest: text.trim() }
}

/** A device's name: what stands in brackets behind the chip's (`AD104 [GeForce RTX 4070]`), else all of it. */
export function productName(text: string): string | undefined {
  const [, product] = /\[([^\]]+)\]\s*$/.exec(text) ?? []
  return (product ?? text).trim() || undefined
}

/** The id in `Device 2330`, as lspci names a device that its list does not hold. */
export function unnamedDeviceId(text: string): string | undefined {
  const [, id] = /^Device (?:[0-9a-f]{4}:)?([0-9a-f]{4})$/i.exec(text.trim()) ?? []
  return id === undefined ? undefined : `0x${id.toLowerCase()}`
}

const classNames: Readonly<Record<string, number>> = {
  'vga compatible controller': 0x0300,
  'xga compatible controller': 0x0301,
  '3d controller': 0x0302,
  'display controller': 0x0380,
  'processing accelerators': 0x1200,
  'pci bridge': 0x0604,
  bridge: 0x0680,
}

/** Class and subclass of `3D controller`, `3D controller [0302]` or `0302`; undefined for classes of no interest here. */
export function classCodeOf(text: string): number | undefined {
  const [, code] = /(?:^|\[)([0-9a-f]{4})\]?$/i.exec(text.trim()) ?? []
  if (code !== undefined) return Number.parseInt(code, 16)
  return classNames[text.trim().toLowerCase()]
}
