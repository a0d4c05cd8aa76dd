import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import type { Vendor } from '../contract.ts'
import { type CardTraits, specOf } from './lookup.ts'
import { specTable } from './table.ts'

const mib = 1024 ** 2
const cardOf = (traits: CardTraits) => specOf(traits)?.card

describe('a card in the specification table', () => {
  it.each([
    ['nvidia', 'NVIDIA GeForce RTX 4090', 'RTX 4090'],
    ['nvidia', 'GeForce RTX 4090', 'RTX 4090'],
    ['nvidia', 'NVIDIA GeForce RTX 3090/PCIe/SSE2', 'RTX 3090'],
    ['nvidia', 'AD102 [GeForce RTX 4090]', 'RTX 4090'],
    ['nvidia', 'NVIDIA A100-SXM4-80GB MIG 1g.10gb', 'A100 SXM4 80GB'],
    ['nvidia', 'NVIDIA H100 PCIe', 'H100 PCIe 80GB'],
    ['nvidia', 'GH100 [H100 SXM5 80GB]', 'H100 SXM5 80GB'],
    ['nvidia', 'NVIDIA L40S', 'L40S'],
    ['nvidia', 'NVIDIA L4', 'L4'],
    ['amd', 'AMD Instinct MI300X OAM', 'Instinct MI300X'],
    ['amd', 'AMD Radeon RX 7900 XTX (RADV NAVI31)', 'RX 7900 XTX'],
    ['intel', 'Intel(R) Arc(tm) A770 Graphics (DG2)', 'Arc A770 16GB'],
    ['intel', 'Intel(R) Data Center GPU Flex Series 170', 'Data Center GPU Flex 170'],
    ['intel', 'Intel(R) Graphics [0x56c0]', 'Data Center GPU Flex 170'],
    ['apple', 'Apple M1 Pro', 'M1 Pro'],
    ['other', 'NVIDIA GeForce RTX 3090', 'RTX 3090'],
  ] as const)('of %s is found by the name %s', (vendor, name, card) => {
    expect(cardOf({ vendor, name })).toBe(card)
  })

  it.each([
    ['nvidia', 'NVIDIA GeForce RTX 4090 Laptop GPU'],
    ['nvidia', 'NVIDIA GeForce RTX 2080 with Max-Q Design'],
    ['nvidia', 'GA104M [GeForce RTX 3070 Mobile / Max-Q]'],
    ['nvidia', 'NVIDIA GeForce GTX 1060 3GB'],
    ['nvidia', 'NVIDIA A1000'],
    ['nvidia', 'NVIDIA A100X'],
    ['nvidia', 'NVIDIA H800 PCIe'],
    ['nvidia', 'NVIDIA A40-48Q'],
    ['nvidia', 'RTX 6000'],
    ['nvidia', 'Graphics Device'],
    ['nvidia', 'Orin (nvgpu)'],
    ['nvidia', ''],
    ['amd', 'AMD Radeon Graphics'],
    ['amd', 'AMD Radeon RX 6800M'],
    ['amd', 'NVIDIA L4'],
    ['intel', 'Intel(R) UHD Graphics 770'],
    ['intel', 'Intel(R) Graphics [0x020a]'],
    ['apple', 'Apple M1 Neo'],
  ] as const)('of %s is not guessed from the name %s', (vendor, name) => {
    expect(cardOf({ vendor, name })).toBeUndefined()
  })

  it('is found by its PCI id without a name', () => {
    expect(cardOf({ vendor: 'nvidia', pciDeviceId: '0x2684' })).toBe('RTX 4090')
    expect(cardOf({ vendor: 'amd', pciDeviceId: '0x740f', name: '0x0c34' })).toBe('Instinct MI210')
    expect(cardOf({ vendor: 'intel', pciDeviceId: '0x2684' })).toBeUndefined()
  })

  it('that shares its name or id is told by its memory', () => {
    const of = (vendor: Vendor, pciDeviceId: string, memoryMib: number, name?: string) =>
      cardOf({ vendor, pciDeviceId, memoryTotalBytes: memoryMib * mib, ...(name && { name }) })
    expect(of('nvidia', '0x2803', 8188, 'NVIDIA GeForce RTX 4060 Ti')).toBe('RTX 4060 Ti')
    expect(of('nvidia', '0x2803', 16380, 'NVIDIA GeForce RTX 4060 Ti')).toBe('RTX 4060 Ti 16GB')
    expect(of('nvidia', '0x2206', 10240, 'NVIDIA GeForce RTX 3080')).toBe('RTX 3080')
    expect(of('nvidia', '0x2206', 12288, 'NVIDIA GeForce RTX 3080')).toBe('RTX 3080 12GB')
    expect(of('nvidia', '0x1e30', 46080)).toBe('Quadro RTX 8000')
    expect(of('amd', '0x744c', 20464)).toBe('RX 7900 XT')
    expect(of('amd', '0x744c', 24560, 'Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]')).toBe(
      'RX 7900 XTX',
    )
    expect(cardOf({ vendor: 'nvidia', name: 'NVIDIA GeForce RTX 4060 Ti' })).toBeUndefined()
    expect(cardOf({ vendor: 'nvidia', name: 'NVIDIA GeForce RTX 4060 Ti 16GB' })).toBe('RTX 4060 Ti 16GB')
  })

  it('that shares its name or id is told by its cores', () => {
    expect(cardOf({ vendor: 'amd', pciDeviceId: '0x66a1', name: 'Vega 20', computeUnits: 64 })).toBe(
      'Instinct MI60',
    )
    expect(cardOf({ vendor: 'amd', pciDeviceId: '0x7550', computeUnits: 56 })).toBe('RX 9070')
    expect(cardOf({ vendor: 'apple', name: 'Apple M3 Max', computeUnits: 40 })).toBe('M3 Max 40-core')
    expect(cardOf({ vendor: 'apple', name: 'Apple M3 Max' })).toBeUndefined()
  })

  it('whose id belongs to a chip is not taken for another card of that chip', () => {
    expect(cardOf({ vendor: 'amd', pciDeviceId: '0x73df', name: 'AMD Radeon RX 6800M' })).toBeUndefined()
    expect(
      cardOf({ vendor: 'amd', pciDeviceId: '0x744c', name: 'AMD Radeon Graphics', computeUnits: 72 }),
    ).toBeUndefined()
    expect(
      cardOf({ vendor: 'amd', pciDeviceId: '0x164e', name: 'AMD Radeon Graphics', gfx: 'gfx1036' }),
    ).toBeUndefined()
  })

  it('of another size than it was ever sold with is not taken', () => {
    expect(
      cardOf({ vendor: 'nvidia', pciDeviceId: '0x1bb3', name: 'GRID P4-1Q', memoryTotalBytes: 1024 * mib }),
    ).toBeUndefined()
    expect(cardOf({ vendor: 'nvidia', name: 'Orin (nvgpu)', memoryTotalBytes: 30_000 * mib })).toBeUndefined()
    expect(cardOf({ vendor: 'nvidia', name: 'Orin (nvgpu)', memoryTotalBytes: 62_800 * mib })).toBe(
      'Jetson AGX Orin 64GB',
    )
    expect(cardOf({ vendor: 'amd', name: 'AMD Instinct MI50', memoryTotalBytes: 16_368 * mib })).toBe(
      'Instinct MI50 32GB',
    )
  })

  it('of CDNA 3 is known by the cores and memory of one of its partitions', () => {
    const card = {
      vendor: 'amd',
      name: 'AMD Instinct MI300X',
      pciDeviceId: '0x74a1',
      computeUnits: 38,
    } as const
    expect(cardOf(card)).toBe('Instinct MI300X')
    expect(cardOf({ ...card, kind: 'partition', memoryTotalBytes: 24_000 * mib })).toBe('Instinct MI300X')
  })

  it('is found by each of its own names, with its own memory and cores', () => {
    for (const spec of specTable) {
      for (const name of spec.names.filter((each) => each !== 'AMD Radeon Graphics')) {
        const memoryTotalBytes = spec.vramGiB * 0.98 * 1024 * mib
        const [computeUnits] = spec.cores
        const { vendor } = spec
        expect(cardOf({ vendor, name, memoryTotalBytes, ...(computeUnits && { computeUnits }) }), name).toBe(
          spec.card,
        )
      }
    }
  })

  it('is never one of another vendor, whatever is said', () => {
    const vendors = fc.constantFrom<Vendor>('nvidia', 'amd', 'intel', 'apple', 'cpu')
    const names = fc.oneof(fc.string(), fc.constantFrom(...specTable.flatMap((spec) => spec.names)))
    const ids = fc.constantFrom(...specTable.flatMap((spec) => spec.pciDeviceIds))
    fc.assert(
      fc.property(vendors, names, ids, (vendor, name, pciDeviceId) => {
        const spec = specOf({ vendor, name, pciDeviceId })
        return spec === undefined || spec.vendor === vendor
      }),
    )
  })
})

/** What the names in recorded outputs are; null: the table has no such card, or several of the name. */
const recordedNames: Readonly<Record<string, string | null>> = {
  'GeForce GTX 1070': 'GTX 1070',
  'GeForce GTX 1070 Ti': 'GTX 1070 Ti',
  'GeForce RTX 2080 Ti': 'RTX 2080 Ti',
  'Graphics Device': null,
  'GRID P4-1Q': null,
  'NVIDIA A100-SXM4-40GB': 'A100 SXM4 40GB',
  'NVIDIA A100-SXM4-80GB': 'A100 SXM4 80GB',
  'NVIDIA A10G': 'A10G',
  'NVIDIA A40': 'A40',
  'NVIDIA B200': 'B200 SXM 180GB',
  'NVIDIA GB200': 'GB200 186GB',
  'NVIDIA GB300': 'GB300',
  'NVIDIA GeForce GT 1030': 'GT 1030',
  'NVIDIA GeForce MX570 A': null,
  'NVIDIA GeForce RTX 2070': 'RTX 2070',
  'NVIDIA GeForce RTX 2080': 'RTX 2080',
  'NVIDIA GeForce RTX 2080 SUPER': 'RTX 2080 SUPER',
  'NVIDIA GeForce RTX 3060': 'RTX 3060',
  'NVIDIA GeForce RTX 3080': null,
  'NVIDIA GeForce RTX 3090': 'RTX 3090',
  'NVIDIA GeForce RTX 4060 Ti': null,
  'NVIDIA GeForce RTX 4080': 'RTX 4080',
  'NVIDIA GeForce RTX 4080 SUPER': 'RTX 4080 SUPER',
  'NVIDIA GeForce RTX 4090': 'RTX 4090',
  'NVIDIA H100 80GB HBM3': 'H100 SXM5 80GB',
  'NVIDIA H100 NVL': 'H100 NVL 94GB',
  'NVIDIA H200': 'H200 SXM 141GB',
  'NVIDIA L4': 'L4',
  'NVIDIA L40S': 'L40S',
  'NVIDIA RTX 2000 Ada Generation': 'RTX 2000 Ada Generation',
  'NVIDIA RTX 4000 Ada Generation': 'RTX 4000 Ada Generation',
  'NVIDIA RTX 4000 SFF Ada Generation': 'RTX 4000 SFF Ada Generation',
  'NVIDIA RTX 6000 Ada Generation': 'RTX 6000 Ada Generation',
  'NVIDIA RTX A5000': 'RTX A5000',
  'NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition':
    'RTX PRO 6000 Blackwell Max-Q Workstation Edition',
  'Quadro P400': null,
  'Tesla K80': 'Tesla K80 (per GPU)',
  'Tesla T4': 'Tesla T4',
  'Tesla V100S-PCIE-32GB': 'Tesla V100S PCIe 32GB',
  'AMD Instinct MI210': 'Instinct MI210',
  'AMD Instinct MI300A': 'Instinct MI300A',
  'AMD Instinct MI300X': 'Instinct MI300X',
  'AMD Instinct MI300X OAM': 'Instinct MI300X',
  'Aqua Vanjaram [Instinct MI300A]': 'Instinct MI300A',
  'Arcturus GL-XL [Instinct MI100]': 'Instinct MI100',
  MI300A: 'Instinct MI300A',
  MI308X: 'Instinct MI308X',
  // Needs its memory: the 6800M is not in the table.
  'Navi 22 [Radeon RX 6700/6700 XT / 6800M]': null,
  'Navi 31 [Radeon RX 7900 XT]': 'RX 7900 XT',
  'Radeon Instinct MI50 32GB': 'Instinct MI50 32GB',
  'Rembrandt [Radeon 680M]': null,
  'Vega 20': null,
  'Intel(R) Data Center GPU Flex Series 170': 'Data Center GPU Flex 170',
  'Intel(R) Graphics [0x020a]': null,
  'Intel(R) Graphics [0x56c0]': 'Data Center GPU Flex 170',
  // Two cards of the name: its 40 cores decide.
  'Apple M3 Max': null,
}

const nameFields: Readonly<Record<string, RegExp>> = {
  nvidia: /<product_name>([^<]*)|^GPU \d+: ([^(\n]*) \(UUID|^ *Product Name *: (.*)/gm,
  amd: /(?:market_name|card series|device name)"? *: *"?([^",\n]*)/gi,
  intel: /device[_ ]name"? *: *"?([^",|\n]*)/gi,
  apple: /"sppci_model" *: *"(Apple [^"]*)"/g,
}

const fixtures = sharedData('gpu-fixtures')

describe('recorded outputs', () => {
  const found = fixtures ? Object.keys(nameFields).flatMap((vendor) => namesIn(fixtures, vendor)) : []

  it('name many cards, each resolved as it should be', () => {
    expect(new Set(found.map(({ name }) => name)).size).toBeGreaterThanOrEqual(fixtures ? 40 : 0)
    for (const { vendor, name } of found)
      expect([name, cardOf({ vendor, name }) ?? null]).toEqual([name, recordedNames[name]])
  })

  it('hold names that memory or cores resolve', () => {
    const navi22 = {
      vendor: 'amd',
      name: 'Navi 22 [Radeon RX 6700/6700 XT / 6800M]',
      pciDeviceId: '0x73df',
    } as const
    expect(cardOf({ ...navi22, memoryTotalBytes: 12_868_124_672 })).toBe('RX 6700 XT')
    expect(cardOf({ vendor: 'apple', name: 'Apple M3 Max', computeUnits: 40 })).toBe('M3 Max 40-core')
  })
})

function namesIn(root: string, folder: string): { vendor: Vendor; name: string }[] {
  const vendor = folder as Vendor
  const files = readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
  const texts = files
    .filter((file) => file.isFile())
    .map((file) => readFileSync(join(file.parentPath, file.name), 'utf8'))
  const names = texts.flatMap((text) =>
    [...text.matchAll(nameFields[folder] ?? /$^/g)].map((match) =>
      (match[1] ?? match[2] ?? match[3] ?? '').trim(),
    ),
  )
  const cards = names.filter((name) => name !== '' && !name.startsWith('0x') && name.length < 80)
  return [...new Set(cards)].map((name) => ({ vendor, name }))
}
