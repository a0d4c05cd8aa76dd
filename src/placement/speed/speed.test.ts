import { describe, expect, it } from 'vitest'
import type { PlanDevice, PlanLink, PlanSpeed, PlanWishes } from '../contract.ts'
import { parseGpuList } from '../inventory/index.ts'
import { type FamousName, famousModel } from '../planner/famous-models.ts'
import { planModel } from '../planner/index.ts'
import { expertShare } from './layer-sums.ts'
import { allReduceS, fabricOf, handOverS, linkDefaults } from './links.ts'

function speedOn(
  name: FamousName,
  machines: string,
  wishes: PlanWishes = {},
  fileType = 'Q4_K_M',
): PlanSpeed {
  const result = planModel(famousModel(name, fileType), parseGpuList(machines), {
    contextLength: 8192,
    ...wishes,
  })
  if (!result.ok) throw new Error(result.message)
  return result.plans[0].speed
}

const device = (id: string, node = 'a', numaNode?: number): PlanDevice => ({
  id,
  node,
  name: id,
  vendor: 'nvidia',
  backend: 'cuda',
  totalBytes: 1,
  usableBytes: 1,
  memoryBytesPerS: 1,
  flopsPerS: 1,
  ...(numaNode !== undefined && { numaNode }),
})

describe('links', () => {
  it('that nobody told are taken by where the devices stand', () => {
    const fabric = fabricOf({ nodes: [], devices: [], links: [] })
    expect(fabric.between(device('x'), device('y')).class).toBe('phb')
    expect(fabric.between(device('x', 'a', 0), device('y', 'a', 1)).class).toBe('sys')
    expect(fabric.between(device('x'), device('y', 'b')).class).toBe('lan')
  })

  it('that are told count both ways', () => {
    const link: PlanLink = { a: 'x', b: 'y', class: 'nvlink', bytesPerS: 300e9, latencyS: 8e-6 }
    const fabric = fabricOf({ nodes: [], devices: [], links: [link] })
    const wire = fabric.between(device('y'), device('x'))
    expect(wire).toEqual({ class: 'nvlink', bytesPerS: 300e9, latencyS: 8e-6, peerAccess: true })
  })

  it('adding up over NVLink takes some 10 us for two devices and 30 us for eight, over 1 GbE far more', () => {
    const nvlink = { class: 'nvlink' as const, ...linkDefaults.nvlink }
    const lan = { class: 'lan' as const, ...linkDefaults.lan1 }
    expect(allReduceS(nvlink, 2, 16_384) * 1e6).toBeCloseTo(10.3, 1)
    expect(allReduceS(nvlink, 8, 16_384) * 1e6).toBeCloseTo(30.6, 1)
    expect(allReduceS(lan, 2, 16_384) * 1e6).toBeGreaterThan(200)
    expect(allReduceS(nvlink, 1, 16_384)).toBe(0)
  })

  it('a message between cards without peer access goes through the host: twice', () => {
    const phb = { class: 'phb' as const, ...linkDefaults.phb }
    expect(handOverS(phb, 0)).toBe(2 * linkDefaults.phb.latencyS)
    expect(handOverS({ ...phb, peerAccess: true }, 0)).toBe(linkDefaults.phb.latencyS)
  })
})

describe('experts', () => {
  const layer = {
    weightsBytes: 110,
    expertBytes: 100,
    kvCacheBytes: 0,
    activeWeightsBytes: 20,
    kvReadBytes: 0,
    flopsPerToken: 0,
  }

  it('one token wakes its share, many tokens nearly all', () => {
    expect(expertShare(layer, 1)).toBeCloseTo(0.1)
    expect(expertShare(layer, 2)).toBeCloseTo(0.19)
    expect(expertShare(layer, 100)).toBeGreaterThan(0.99)
  })
})

describe('predicted speed', () => {
  it('of decoding is what reading the weights allows', () => {
    // 4.6 GB a token at 0.8 of 936 GB/s are 6.2 ms, 32 layers of launches 1 ms.
    const { decodeTokensPerS } = speedOn('llama3.1:8b', '3090', { slots: 1 })
    expect(decodeTokensPerS).toBeGreaterThan(125)
    expect(decodeTokensPerS).toBeLessThan(145)
  })

  it('of two equal cards in a pipeline is that of one: the stages wait for each other', () => {
    const one = speedOn('qwen3:14b', '3090', { slots: 1 })
    const two = speedOn('qwen3:14b', '2x3090', { slots: 1, strategy: 'pipeline' })
    expect(two.decodeTokensPerS / one.decodeTokensPerS).toBeGreaterThan(0.95)
    expect(two.decodeTokensPerS).toBeLessThan(one.decodeTokensPerS)
    expect(two.prefillTokensPerS).toBeGreaterThan(one.prefillTokensPerS)
  })

  it('of a tensor split over a bridge is nearly doubled, over the host much less', () => {
    const one = speedOn('qwen3:32b', '3090', { slots: 1 }).decodeTokensPerS
    const bridged = speedOn('qwen3:32b', '2x3090 nvlink', { slots: 1, strategy: 'tensor' }).decodeTokensPerS
    const plain = speedOn('qwen3:32b', '2x3090', { slots: 1, strategy: 'tensor' }).decodeTokensPerS
    expect(bridged / one).toBeGreaterThan(1.6)
    expect(bridged / one).toBeLessThan(2)
    expect(plain).toBeLessThan(bridged)
  })

  it('of a mixture of experts follows its active weights', () => {
    const dense = speedOn('qwen3:32b', '3090', { slots: 1 }).decodeTokensPerS
    const sparse = speedOn('qwen3:30b-a3b', '3090', { slots: 1 }).decodeTokensPerS
    expect(sparse / dense).toBeGreaterThan(3)
  })

  it('of several slots together is more than that of one stream, and less than as many times', () => {
    const { decodeTokensPerS, throughputTokensPerS } = speedOn('llama3.1:8b', '3090', { slots: 8 })
    expect(throughputTokensPerS).toBeGreaterThan(3 * decodeTokensPerS)
    expect(throughputTokensPerS).toBeLessThan(8 * decodeTokensPerS)
  })

  it('of two nodes suffers by the network, and a slow one more', () => {
    const rates = ['@1gbe', '@10gbe', '@ib200'].map(
      (network) =>
        speedOn('qwen3:14b', `rtx 3060 / rtx 3060 ${network}`, { slots: 1, strategy: 'pipeline' })
          .decodeTokensPerS,
    )
    expect(rates).toEqual([...rates].sort((a, b) => a - b))
  })

  it('of measured devices takes the rates as they are', () => {
    const inventory = parseGpuList('3090')
    const measured = { ...inventory, devices: inventory.devices.map((one) => ({ ...one, measured: true })) }
    const [plain, exact] = [inventory, measured].map((machines) => {
      const result = planModel(famousModel('llama3.1:8b'), machines, { contextLength: 8192 })
      return result.ok ? result.plans[0].speed.decodeTokensPerS : 0
    })
    expect((exact ?? 0) / (plain ?? 1)).toBeGreaterThan(1.15)
  })

  it('with a draft model is more, and never less, than without', () => {
    const model = famousModel('llama3.1:70b')
    const draft = { name: 'llama3.1:8b', shape: famousModel('llama3.1:8b').shape }
    const inventory = parseGpuList('h100 sxm')
    const [without, drafted] = [model, { ...model, draft }].map((one) => {
      const result = planModel(one, inventory, { contextLength: 8192, slots: 1 })
      return result.ok ? result.plans[0] : undefined
    })
    expect(drafted?.instances[0]?.draftDeviceId).toBe('gpu0')
    expect((drafted?.speed.decodeTokensPerS ?? 0) / (without?.speed.decodeTokensPerS ?? 1)).toBeGreaterThan(
      1.2,
    )
  })

  it('tells the watts of the devices it uses', () => {
    expect(speedOn('llama3.1:8b', '2x3090', { strategy: 'single' }).watts).toBe(350)
  })
})
