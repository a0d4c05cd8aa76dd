import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { factsOf } from './facts.ts'
import { nvlinkGbPerSecond, nvlinkGeneration } from './nvlink.ts'
import { supportsOfCompute, supportsOfGfx } from './supports.ts'

const a100 = { vendor: 'nvidia', name: 'NVIDIA A100-SXM4-80GB', pciDeviceId: '0x20b2' } as const

describe('facts that a card does not tell', () => {
  it('come from the table and say so', () => {
    const facts = factsOf({ ...a100, memoryTotalBytes: 81_920 * 1024 ** 2 })
    expect(facts).toMatchObject({
      tableEntry: 'A100 SXM4 80GB',
      bandwidthGBs: { value: 2039, from: 'table' },
      tdpWatts: { value: 400, from: 'table' },
      interconnect: { name: 'NVLink 3', gbPerSecond: { value: 600, from: 'table' } },
      pcie: { generation: 4, width: 16 },
      supports: { fp16: true, bf16: true, fp8: false, int8: true },
    })
    expect(facts.tflops.fp16).toEqual({ value: 312, from: 'table' })
    expect(facts.tflops.fp8).toBeUndefined()
  })

  it('carry the doubts of the table', () => {
    const facts = factsOf({ vendor: 'amd', name: 'AMD Instinct MI308X' })
    expect(facts.bandwidthGBs).toEqual({ value: 5300, from: 'table', uncertain: true })
    expect(facts.tflops.fp16).toEqual({ value: 188, from: 'table', uncertain: true })
    expect(facts.interconnect).toEqual({ name: 'xGMI', gbPerSecond: { value: 896, from: 'table' } })
  })

  it('of a MIG instance are its share of the card', () => {
    const facts = factsOf({ ...a100, kind: 'partition', partitionProfile: '3g.40gb' })
    expect(facts.bandwidthGBs).toEqual({ value: 1019.5, from: 'derived' })
    expect(facts.tflops.fp16?.value).toBeCloseTo((312 * 3) / 7, 2)
    expect(facts.tdpWatts).toBeUndefined()
    expect(facts.interconnect).toBeUndefined()
    const small = factsOf({ ...a100, kind: 'partition', partitionProfile: '1c.2g.20gb+me' })
    expect(small.bandwidthGBs?.value).toBeCloseTo(2039 / 4, 1)
    expect(small.tflops.fp16?.value).toBeCloseTo(312 / 7, 2)
  })

  it('of a compute partition or a tile are its share of the card', () => {
    const mi300x = { vendor: 'amd', name: 'AMD Instinct MI300X', kind: 'partition' } as const
    expect(factsOf({ ...mi300x, partitionProfile: 'CPX' }).bandwidthGBs?.value).toBeCloseTo(5300 / 8, 1)
    expect(factsOf({ ...mi300x, computeUnits: 76 }).tflops.fp16?.value).toBeCloseTo(1307 / 4, 1)
    const tile = {
      vendor: 'intel',
      pciDeviceId: '0x0bd5',
      kind: 'partition',
      partitionProfile: 'tile 0',
    } as const
    expect(factsOf(tile).bandwidthGBs).toEqual({ value: 1638.4, from: 'derived' })
  })

  it('of a partition of unknown size are only what it can do', () => {
    const facts = factsOf({ ...a100, kind: 'partition' })
    expect(facts.bandwidthGBs).toBeUndefined()
    expect(facts.tflops).toEqual({})
    expect(facts.supports.bf16).toBe(true)
  })

  it('of a chip with fewer cores are less in computing and the same in memory', () => {
    const facts = factsOf({ vendor: 'apple', name: 'Apple M2 Ultra', computeUnits: 60 })
    const whole = factsOf({ vendor: 'apple', name: 'Apple M2 Ultra', computeUnits: 76 })
    expect(facts.bandwidthGBs).toEqual(whole.bandwidthGBs)
    expect(facts.tflops.fp32?.from).toBe('derived')
    expect(facts.tflops.fp32?.value).toBeCloseTo(((whole.tflops.fp32?.value ?? 0) * 60) / 76, 2)
  })

  it('of a card that the table lacks are derived from its capability or target', () => {
    expect(factsOf({ vendor: 'nvidia', name: 'NVIDIA X', computeCapability: '8.9' })).toEqual({
      tflops: {},
      supports: { fp16: true, fp16Fast: true, bf16: true, fp8: true, fp4: false, int8: true },
    })
    expect(factsOf({ vendor: 'amd', gfx: 'gfx1036' }).supports.bf16).toBe(false)
    expect(factsOf({ vendor: 'cpu', name: 'AMD EPYC 9474F' })).toEqual({ tflops: {}, supports: {} })
  })

  it('are finite numbers for any card', () => {
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom('NVIDIA A100-SXM4-80GB', 'AMD Instinct MI300X', '1g.0gb', '7g.9999gb'),
    )
    const number = fc.oneof(fc.double(), fc.integer())
    fc.assert(
      fc.property(
        text,
        text,
        number,
        fc.constantFrom('nvidia', 'amd', 'intel', 'apple'),
        (name, profile, units, vendor) => {
          const facts = factsOf({
            vendor,
            name,
            kind: 'partition',
            partitionProfile: profile,
            computeUnits: units,
          })
          const values = [facts.bandwidthGBs, ...Object.values(facts.tflops)].map((fact) => fact?.value ?? 0)
          return values.every((value) => Number.isFinite(value) && value >= 0)
        },
      ),
    )
  })
})

describe('what a card can do', () => {
  it.each([
    ['5.2', { fp16: false, fp16Fast: false, int8: false }],
    ['6.0', { fp16: true, fp16Fast: true, int8: false }],
    ['6.1', { fp16: true, fp16Fast: false, int8: true }],
    ['7.5', { fp16Fast: true, bf16: false }],
    ['8.6', { bf16: true, fp8: false }],
    ['10.3', { fp8: true, fp4: true }],
    ['12.0', { fp4: true }],
  ])('follows from the compute capability %s', (capability, expected) => {
    expect(supportsOfCompute(capability)).toMatchObject(expected)
  })

  it.each([
    ['gfx803', { fp16: true, fp16Fast: false, int8: false }],
    ['gfx900', { fp16Fast: true, int8: false }],
    ['gfx90c', { bf16: false, int8: false }],
    ['gfx90a:sramecc+:xnack-', { bf16: true, fp8: false }],
    ['gfx942', { fp8: true, fp4: false }],
    ['gfx950', { fp4: true }],
    ['gfx1010', { int8: false }],
    ['gfx1103', { bf16: true, fp8: false }],
    ['gfx1200', { fp8: true, fp4: false }],
  ])('follows from the target %s', (gfx, expected) => {
    expect(supportsOfGfx(gfx)).toMatchObject(expected)
  })

  it.each(['', 'N/A', 'gfx', 'gfx0', 'gfx9', '8', '8.9.1'])('is not known from "%s"', (text) => {
    expect(supportsOfCompute(text)).toEqual({})
    expect(supportsOfGfx(text)).toEqual({})
  })
})

describe('NVLink', () => {
  it('has its generation and speed by compute capability', () => {
    expect(['6.0', '7.0', '8.0', '9.0', '10.0'].map(nvlinkGeneration)).toEqual([1, 2, 3, 4, 5])
    expect(['6.0', '7.5', '8.0', '8.6', '9.0', '10.3'].map(nvlinkGbPerSecond)).toEqual([
      20, 25, 25, 14.0625, 25, 50,
    ])
    expect(nvlinkGbPerSecond('12.0')).toBeUndefined()
    expect(nvlinkGbPerSecond('?')).toBeUndefined()
  })
})
