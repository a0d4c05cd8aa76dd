import type { Precision, Vendor } from '../contract.ts'
import { amdCards } from './amd.ts'
import { appleCards } from './apple.ts'
import { intelCards } from './intel.ts'
import { nvidiaCards } from './nvidia.ts'

/** What a card can compute with; `fp16Fast`: faster than with fp32. */
export type Ability = 'fp16' | 'fp16Fast' | 'bf16' | 'fp8' | 'fp4' | 'int8'

/** A group of facts that the sources of the table doubt; `tflops` is all precisions. */
export type Doubt = 'vram' | 'bandwidth' | 'tflops' | Precision | 'tdp' | 'pcie' | 'bridge'

/** One card of the specification table. */
export interface GpuSpec {
  vendor: Vendor
  /** Unique among all vendors. */
  card: string
  /** As vendors' tools write them; several cards may bear one name. */
  names: readonly string[]
  /** `0x2684`; several cards may bear one id. */
  pciDeviceIds: readonly string[]
  architecture: string
  computeCapability?: string
  gfx?: string
  /** By name; tools report 1 to 8 % less. Of shared memory: the most that the card was sold with. */
  vramGiB: number
  /** Other sizes of the very same card. */
  otherVramGiB: readonly number[]
  sharedMemory: boolean
  /** Compute units (AMD) or GPU cores (Apple) that it was sold with; empty where the table has none. */
  cores: readonly number[]
  bandwidthGBs: number
  /** Dense peak, 10^12 operations a second. */
  tflops: Readonly<Partial<Record<Precision, number>>>
  tdpWatts?: number
  pcie?: { generation: number; width: number }
  /** The vendor's own bridge, and 10^9 bytes a second of one card, both ways together. */
  bridge?: { name: string; gbPerSecond?: number }
  supports: Readonly<Record<Ability, boolean>>
  doubts: ReadonlySet<Doubt>
}

const precisions = ['fp32', 'fp16', 'bf16', 'fp8', 'int8', 'fp4'] as const
const doubtable: readonly string[] = ['vram', 'bandwidth', 'tflops', ...precisions, 'tdp', 'pcie', 'bridge']

/** Every card whose figures Drover knows. */
export const specTable: readonly GpuSpec[] = [
  ...rowsOf('nvidia', nvidiaCards),
  ...rowsOf('amd', amdCards),
  ...rowsOf('intel', intelCards),
  ...rowsOf('apple', appleCards),
]

/**
 * The rows of a vendor's text. Its first line names the columns, `|` parts them, an empty cell is not known:
 * `names` by comma; `target`: compute capability or gfx; `GiB`: followed by `shared` for memory that is the host's;
 * `also GiB`: other sizes of the same card; `pcie`: generation and width; `doubted`: see `Doubt`.
 * Throws on a row that it cannot read: the table is part of the program.
 */
function rowsOf(vendor: Vendor, text: string): GpuSpec[] {
  const [head = '', ...lines] = text.trim().split('\n')
  const columns = cellsOf(head)
  return lines.map((line) => {
    const cells = cellsOf(line)
    return specFrom(vendor, (column) => {
      const at = columns.indexOf(column)
      if (at < 0) throw new Error(`the specification table of ${vendor} has no column "${column}"`)
      return cells[at] ?? ''
    })
  })
}

function cellsOf(line: string): string[] {
  return line.split('|').map((cell) => cell.trim())
}

function wordsOf(cell: string): string[] {
  return cell === '' ? [] : cell.split(/\s+/)
}

function specFrom(vendor: Vendor, cell: (column: string) => string): GpuSpec {
  const number = (text: string): number => {
    const value = Number(text)
    if (text === '' || !(value >= 0)) throw new Error(`"${text}" is no figure of ${cell('card')}`)
    return value
  }
  const [vram = '', shared] = wordsOf(cell('GiB'))
  const [generation, width] = wordsOf(cell('pcie').replace('x', ''))
  const tflops = precisions.filter((precision) => cell(precision) !== '')
  const supported = wordsOf(cell('supports'))
  return {
    vendor,
    card: cell('card'),
    names: cell('names').split(', '),
    pciDeviceIds: wordsOf(cell('pci ids')).map((id) => `0x${id}`),
    architecture: cell('architecture'),
    ...(vendor === 'nvidia' && { computeCapability: cell('target') }),
    ...(vendor === 'amd' && { gfx: cell('target') }),
    vramGiB: number(vram),
    otherVramGiB: wordsOf(cell('also GiB')).map(number),
    sharedMemory: shared === 'shared',
    cores: wordsOf(cell('cores')).map(number),
    bandwidthGBs: number(cell('memory GB/s')),
    tflops: Object.fromEntries(tflops.map((precision) => [precision, number(cell(precision))])),
    ...(cell('W') !== '' && { tdpWatts: number(cell('W')) }),
    ...(generation && width && { pcie: { generation: number(generation), width: number(width) } }),
    ...(cell('bridge') !== '' && { bridge: bridgeOf(cell('bridge'), cell('bridge GB/s'), number) }),
    supports: {
      fp16: supported.includes('fp16'),
      fp16Fast: supported.includes('fp16Fast'),
      bf16: supported.includes('bf16'),
      fp8: supported.includes('fp8'),
      fp4: supported.includes('fp4'),
      int8: supported.includes('int8'),
    },
    doubts: new Set(wordsOf(cell('doubted')).filter(isDoubt)),
  }
}

function bridgeOf(name: string, gbPerSecond: string, number: (text: string) => number) {
  return gbPerSecond === '' ? { name } : { name, gbPerSecond: number(gbPerSecond) }
}

function isDoubt(word: string): word is Doubt {
  return doubtable.includes(word)
}
