import { describe, expect, it } from 'vitest'
import { specTable } from '../../hardware/index.ts'
import { findCard } from './cards.ts'
import { imagineDevice, planDeviceOf, usableOf } from './devices.ts'

const gib = 2 ** 30
const cardOf = (name: string, memoryGiB?: number) => findCard(name, memoryGiB).card

describe('a card by its name', () => {
  it('is found under the name of the table, whichever it is, with its own facts', () => {
    for (const spec of specTable) {
      expect(findCard(spec.card)).toBe(spec)
      expect(imagineDevice(spec, 'gpu0', spec.vramGiB * gib).facts.tableEntry).toBe(spec.card)
    }
  })

  it('is found as people write it', () => {
    expect(
      ['4090', '3090', 'p40', 'rx7900xtx', '7900 XTX', 'b580', 'l40s', 'H200', 'm2 ultra'].map((name) =>
        cardOf(name),
      ),
    ).toEqual([
      'RTX 4090',
      'RTX 3090',
      'Tesla P40',
      'RX 7900 XTX',
      'RX 7900 XTX',
      'Arc B580',
      'L40S',
      'H200 SXM 141GB',
      'M2 Ultra',
    ])
    expect(cardOf('NVIDIA GeForce RTX 4090')).toBe('RTX 4090')
    expect(cardOf('A100 SXM', 80)).toBe('A100 SXM4 80GB')
    expect(cardOf('A100', 80)).toBe('A100 SXM4 80GB')
  })

  it('is told from its namesakes by its memory, and may have more than its maker gave it', () => {
    expect(cardOf('3080')).toBe('RTX 3080')
    expect(cardOf('3080', 12)).toBe('RTX 3080 12GB')
    expect(cardOf('4060 ti', 16)).toBe('RTX 4060 Ti 16GB')
    expect(cardOf('2080ti', 22)).toBe('RTX 2080 Ti')
    expect(cardOf('m3 max', 64)).toBe('M3 Max 30-core')
  })

  it('is refused with the cards that it may be', () => {
    expect(() => findCard('a100')).toThrow(
      '"a100" may be any of A100 SXM4 40GB, A100 SXM4 80GB, A100 PCIe 40GB',
    )
    expect(() => findCard('rtx pro 6000')).toThrow('Max-Q')
    expect(() => findCard('foo4090')).toThrow('is it one of RTX 4090, RTX 4090 D?')
    expect(() => findCard('')).toThrow('"" is not in the table of cards')
  })
})

describe('an imagined device', () => {
  it('has the rates of the table, and the precision that its weights are multiplied in', () => {
    const of = (name: string) => {
      const spec = findCard(name)
      const device = imagineDevice(spec, 'gpu0', spec.vramGiB * gib)
      return planDeviceOf(device, { id: 'gpu0', node: 'n', usableBytes: usableOf(device) })
    }
    expect(of('3090')).toMatchObject({
      memoryBytesPerS: 936e9,
      flopsPerS: 71.2e12,
      backend: 'cuda',
      watts: 350,
    })
    // Pascal's fp16 is slower than its fp32.
    expect(of('p40').flopsPerS).toBe(11.76e12)
    expect(of('7900xtx')).toMatchObject({ vendor: 'amd', backend: 'rocm' })
    expect(of('3090').measured).toBeUndefined()
    expect(of('3090').usableBytes).toBe(24 * gib - 400 * 2 ** 20)
  })

  it("lends a Mac's memory as Metal does", () => {
    const usable = (name: string, memoryGiB: number) =>
      usableOf(imagineDevice(findCard(name), 'x', memoryGiB * gib)) / gib
    expect(usable('m2 ultra', 192)).toBe(144)
    expect(usable('m1 pro', 32)).toBeCloseTo(21.4, 1)
  })
})
