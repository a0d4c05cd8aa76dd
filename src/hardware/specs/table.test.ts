import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import { supportsOfCompute, supportsOfGfx } from './supports.ts'
import { specTable } from './table.ts'

/** A card as the source of the table has it. */
interface SourceCard {
  vendor: string
  id: string
  names: string[]
  pciDeviceIds: string[]
  arch: string
  vramGiB: number
  unifiedMemory: boolean
  bandwidthGBs: number
  tflops: Record<string, number | null>
  tdpW?: number
  computeCapability: string | null
  gfx?: string | null
  gpuCores?: number[]
  pcieGen?: number
  pcieLanes?: number
  interconnect: string | null
  interconnectGBs: number | null
  supports: Record<string, boolean>
  uncertain: string[]
}

const path = sharedData('gpu-specs.json')
const source: SourceCard[] = path ? JSON.parse(readFileSync(path, 'utf8')).gpus : []

const doubtNames: Readonly<Record<string, string>> = {
  tdpW: 'tdp',
  bandwidthGBs: 'bandwidth',
  vramGiB: 'vram',
  pcieGen: 'pcie',
  pcieLanes: 'pcie',
  interconnectGBs: 'bridge',
}

describe('the specification table', () => {
  it('has every card once, with figures that are numbers above zero', () => {
    expect(new Set(specTable.map((spec) => spec.card)).size).toBe(specTable.length)
    for (const spec of specTable) {
      const { generation = 1, width = 1 } = spec.pcie ?? {}
      const figures = [spec.vramGiB, spec.bandwidthGBs, spec.tdpWatts ?? 1, generation, width]
      const all = [...figures, ...spec.cores, ...Object.values(spec.tflops), spec.bridge?.gbPerSecond ?? 1]
      expect(
        all.every((value) => Number.isFinite(value) && value > 0),
        spec.card,
      ).toBe(true)
    }
  })

  it('has ids and names in the form that lookups use', () => {
    for (const spec of specTable) {
      expect(
        spec.names.every((name) => name !== '' && name === name.trim()),
        spec.card,
      ).toBe(true)
      for (const id of spec.pciDeviceIds) expect(id).toMatch(/^0x[0-9a-f]{4}$/)
      if (spec.vendor === 'nvidia') expect(spec.computeCapability, spec.card).toMatch(/^\d+\.\d$/)
      if (spec.vendor === 'amd') expect(spec.gfx, spec.card).toMatch(/^gfx[0-9a-f]{3,4}$/)
    }
  })

  it('says of each card what its compute capability or target says', () => {
    for (const spec of specTable) {
      if (spec.computeCapability)
        expect(supportsOfCompute(spec.computeCapability), spec.card).toEqual(spec.supports)
      if (spec.gfx) expect(supportsOfGfx(spec.gfx), spec.card).toEqual(spec.supports)
    }
  })

  it('agrees in every row with the recorded source', () => {
    expect(specTable.length).toBe(source.length || specTable.length)
    for (const card of source) {
      const spec = specTable.find((row) => row.card === card.id)
      expect(spec, card.id).toEqual(expectedRow(card, spec?.otherVramGiB ?? [], spec?.cores ?? []))
    }
  })
})

/** The row that a card of the source should give; `otherSizes` and AMD's core counts are the table's own. */
function expectedRow(card: SourceCard, otherSizes: readonly number[], cores: readonly number[]) {
  const tflops = Object.entries(card.tflops).filter(([key, value]) => value !== null && key !== 'fp16Fp16Acc')
  const bridge = card.interconnect && {
    name: card.interconnect.includes('XGMI') ? 'xGMI' : card.interconnect,
    ...(card.interconnectGBs !== null && { gbPerSecond: card.interconnectGBs }),
  }
  return {
    vendor: card.vendor,
    card: card.id,
    names: card.names,
    pciDeviceIds: card.pciDeviceIds,
    architecture: card.arch,
    ...(card.vendor === 'nvidia' && { computeCapability: card.computeCapability }),
    ...(card.vendor === 'amd' && { gfx: card.gfx }),
    vramGiB: card.vramGiB,
    otherVramGiB: otherSizes,
    sharedMemory: card.unifiedMemory,
    cores: card.vendor === 'amd' ? cores : (card.gpuCores ?? []),
    bandwidthGBs: card.bandwidthGBs,
    tflops: Object.fromEntries(tflops),
    ...(card.tdpW && { tdpWatts: card.tdpW }),
    ...(card.pcieGen && { pcie: { generation: card.pcieGen, width: card.pcieLanes } }),
    ...(bridge && { bridge }),
    supports: card.supports,
    doubts: new Set(card.uncertain.map((path) => doubtNames[path] ?? path.replace('tflops.', ''))),
  }
}
