import { describe, expect, it } from 'vitest'
import type { Device, LinkClass, PcieLink } from '../contract.ts'
import { estimateBandwidth } from './bandwidth.ts'
import { cpu, gpu } from './machines.fixture.ts'
import { isSlow, pcieText, runningPcie } from './pcie.ts'

const gen4 = { generation: 4, width: 16, maxGeneration: 4, maxWidth: 16 }
const card = (pcie?: PcieLink, more: Partial<Device> = {}) =>
  gpu(0, 'Unknown card', 24, { ...(pcie && { pcie }), ...more })

function rate(a: Device, b: Device, linkClass: LinkClass, links?: number, peers = 1) {
  return estimateBandwidth(a, b, { class: linkClass, ...(links !== undefined && { links }) }, () => peers)
}

describe('the estimated rate', () => {
  it.each([
    ['6.0', 4, 80],
    ['7.0', 6, 150],
    ['8.0', 12, 300],
    ['8.6', 4, 56.25],
    ['9.0', 18, 450],
    ['10.0', 18, 900],
  ])(
    'of NVLink on compute capability %s with %i links is %d GB/s each way',
    (computeCapability, links, expected) => {
      const device = card(gen4, { computeCapability })
      expect(rate(device, device, 'nvlink', links)).toEqual({ value: expected, from: 'derived' })
    },
  )

  it('of NVLink is that of the slower card, and no more than its card has in all', () => {
    const [old, young] = [card(gen4, { computeCapability: '7.0' }), card(gen4, { computeCapability: '10.0' })]
    expect(rate(old, young, 'nvlink', 2)?.value).toBe(50)
    const a800 = gpu(0, 'NVIDIA A800-SXM4-80GB', 80, { computeCapability: '8.0' })
    expect(rate(a800, a800, 'nvlink', 12)?.value).toBe(200)
    const untold = gpu(0, 'NVIDIA GeForce RTX 3090', 24)
    expect(rate(untold, untold, 'nvlink', 4)?.value).toBe(56.25)
    expect(rate(card(gen4), card(gen4), 'nvlink', 4)).toBeUndefined()
  })

  it("of AMD's and Intel's bridges is the card's by the table, parted among those it leads to", () => {
    const mi300x = gpu(0, 'AMD Instinct MI300X', 192, { vendor: 'amd' })
    expect(rate(mi300x, mi300x, 'xgmi', undefined, 7)).toEqual({ value: 64, from: 'derived' })
    const max = gpu(0, 'Intel(R) Data Center GPU Max 1550', 128, { vendor: 'intel' })
    expect(rate(max, max, 'xelink', undefined, 1)).toEqual({ value: 424, from: 'derived', uncertain: true })
    expect(rate(mi300x, card(gen4), 'xgmi')).toBeUndefined()
  })

  it.each([
    [1, 16, 3.2],
    [2, 16, 6.4],
    [3, 16, 12.61],
    [4, 16, 25.2],
    [5, 16, 50.41],
    [6, 16, 96.77],
    [4, 4, 6.301],
  ])('of PCIe generation %i by %i lanes is %d GB/s below one host bridge', (generation, width, expected) => {
    const link = { generation, width, maxGeneration: generation, maxWidth: 16 }
    expect(rate(card(link), card({ ...gen4, generation: 6, maxGeneration: 6 }), 'phb')).toEqual({
      value: expected,
      from: 'derived',
    })
  })

  it('of PCIe is that of the slower card, less across sockets and no more than goes between them', () => {
    const narrow = card({ ...gen4, width: 4 })
    expect(rate(card(gen4), narrow, 'pix')?.value).toBe(6.301)
    expect(rate(card(gen4), narrow, 'sys')?.value).toBe(5.513)
    expect(rate(card(gen4), card(gen4), 'sys')?.value).toBe(20)
    expect(rate(card(gen4), cpu(0, 'CPU', 8, 64), 'phb')?.value).toBe(25.2)
    expect(rate(cpu(0, 'CPU', 8, 64), cpu(1, 'CPU', 8, 64), 'sys')).toEqual({
      value: 20,
      from: 'derived',
      uncertain: true,
    })
  })

  it('is left out where nothing is known to reckon from', () => {
    expect(rate(card(), card(gen4), 'phb')).toBeUndefined()
    expect(rate(card(gen4), card(gen4), 'unknown')).toBeUndefined()
    expect(rate(cpu(0, 'CPU', 8, 64), cpu(0, 'CPU', 8, 64), 'node')).toBeUndefined()
    const part = card(gen4, { kind: 'partition' })
    expect(rate(part, part, 'same_board')).toBeUndefined()
  })

  it('is doubted where the link is assumed from the table', () => {
    const l4 = gpu(0, 'NVIDIA L4', 24)
    expect(rate(l4, l4, 'phb')).toEqual({ value: 25.2, from: 'derived', uncertain: true })
  })
})

describe('a PCIe link', () => {
  it('of a card at rest is what it will be at work', () => {
    const resting = runningPcie(card({ ...gen4, generation: 1 }, { sensors: { utilization: 0 } }))
    expect(resting).toMatchObject({ generation: 4, width: 16 })
    expect(resting && [isSlow(resting), pcieText(resting)]).toEqual([false, 'PCIe 4.0 x16'])
  })

  it('of a card at work is as it is seen', () => {
    const busy = runningPcie(card({ ...gen4, generation: 1 }, { sensors: { utilization: 0.9 } }))
    expect(busy && [isSlow(busy), pcieText(busy)]).toEqual([true, 'PCIe 1.0 of 4.0 x16'])
  })

  it('with lanes missing is slow, at rest too', () => {
    const narrow = runningPcie(card({ ...gen4, width: 4 }))
    expect(narrow && [isSlow(narrow), pcieText(narrow)]).toEqual([true, 'PCIe 4.0 x4 of x16'])
  })

  it('that is down or not told of is none', () => {
    expect(runningPcie(card())).toBeUndefined()
    expect(runningPcie(card({ generation: 4, width: 0 }))).toBeUndefined()
  })
})
