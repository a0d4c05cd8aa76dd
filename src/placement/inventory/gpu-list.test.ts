import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { specTable } from '../../hardware/index.ts'
import { DroverError } from '../../inference/index.ts'
import type { PlanLink } from '../contract.ts'
import { parseGpuList } from './gpu-list.ts'

const gib = 2 ** 30
const between = (links: readonly PlanLink[], a: string, b: string) =>
  links.find((link) => (link.a === a && link.b === b) || (link.a === b && link.b === a))

describe('a list of GPUs', () => {
  it('is cards with their number, and the memory of the host', () => {
    const { nodes, devices } = parseGpuList('2x4090,rx7900xtx,cpu:64')
    expect(devices.map(({ id, name, engineName }) => [id, name, engineName])).toEqual([
      ['gpu0', 'RTX 4090', 'CUDA0'],
      ['gpu1', 'RTX 4090', 'CUDA1'],
      ['gpu2', 'RX 7900 XTX', 'ROCm0'],
    ])
    expect(nodes).toHaveLength(1)
    expect(nodes[0]).toMatchObject({ id: 'node1', usableBytes: Math.floor(64 * gib * 0.9), rpc: true })
    expect(nodes[0]?.engines).toEqual(['llama.cpp', 'embedded', 'ollama'])
  })

  it('is several machines by slashes, each joined with each by the network', () => {
    const { nodes, devices, links } = parseGpuList('8x3090 / 8x3090 ; a6000,cpu:256:200 @10gbe')
    expect(nodes.map(({ id }) => id)).toEqual(['node1', 'node2', 'node3'])
    expect(devices.filter(({ node }) => node === 'node2').map(({ id }) => id)[7]).toBe('node2/gpu7')
    const lans = links.filter((link) => link.class === 'lan')
    expect(lans.map(({ a, b }) => `${a}-${b}`)).toEqual(['node1-node2', 'node1-node3', 'node2-node3'])
    expect(lans[0]?.bytesPerS).toBeCloseTo(1.175e9)
    expect(nodes[2]).toMatchObject({ memoryBytesPerS: 200e9 })
  })

  it('keeps the order of devices in the order of their names', () => {
    const ids = parseGpuList('12x3090').devices.map(({ id }) => id)
    expect(ids.toSorted()).toEqual(ids)
  })

  it('joins cards by bridges two by two, and modules each with each', () => {
    const cards = parseGpuList('4x3090 nvlink').links
    expect(between(cards, 'gpu0', 'gpu1')).toMatchObject({
      class: 'nvlink',
      bytesPerS: 56.25e9,
      peerAccess: true,
    })
    expect(between(cards, 'gpu1', 'gpu2')?.class).toBe('phb')
    expect(between(parseGpuList('2x3090').links, 'gpu0', 'gpu1')?.class).toBe('phb')
    const modules = parseGpuList('8xH200').links
    expect(modules).toHaveLength(28)
    expect(modules.every((link) => link.class === 'nvlink' && link.bytesPerS === 450e9)).toBe(true)
    const instinct = parseGpuList('8xMI300X').links
    expect(instinct.every((link) => link.class === 'xgmi' && Math.round(link.bytesPerS / 1e9) === 64)).toBe(
      true,
    )
  })

  it('knows the lanes of a card', () => {
    const rate = (name: string) => between(parseGpuList(`2x${name}`).links, 'gpu0', 'gpu1')?.bytesPerS ?? 0
    expect(rate('4090') / rate('4060')).toBeCloseTo(2)
    expect(rate('4090') / rate('p40')).toBeCloseTo(2, 1)
  })

  it('does not take the x in the name of a card for a number of cards', () => {
    expect(parseGpuList('7900xtx,2x6800xt,6950 XT').devices.map(({ name }) => name)).toEqual([
      'RX 7900 XTX',
      'RX 6800 XT',
      'RX 6800 XT',
      'RX 6950 XT',
    ])
  })

  it.each([
    ['H200x2', 2, 'H200 SXM 141GB', 141],
    ['3090x2 nvlink', 2, 'RTX 3090', 24],
    ['4090 * 3', 3, 'RTX 4090', 24],
    ['mi300x x2', 2, 'Instinct MI300X', 192],
    ['A100x4:80', 4, 'A100 SXM4 80GB', 80],
    ['RTX 4090 24GB', 1, 'RTX 4090', 24],
    ['2x 3090 (24 GB)', 2, 'RTX 3090', 24],
    ['2080ti 22GB', 1, 'RTX 2080 Ti', 22],
    ['4060 ti 16gb', 1, 'RTX 4060 Ti 16GB', 16],
  ])('takes "%s" as people write it', (text, count, name, size) => {
    const { devices } = parseGpuList(text)
    expect(devices.map((device) => device.name)).toEqual(Array.from({ length: count }, () => name))
    expect(devices[0]?.totalBytes).toBe(size * gib)
  })

  it('takes boards with other memory than their maker gave them', () => {
    expect(parseGpuList('2080ti:22').devices[0]?.totalBytes).toBe(22 * gib)
  })

  it('leaves out what error correction takes of memory on the board', () => {
    const usable = (name: string) => (parseGpuList(name).devices[0]?.usableBytes ?? 0) / 2 ** 20
    expect(usable('t4')).toBe(15_360 - 400)
    expect(usable('l40s')).toBe(46_080 - 400)
    expect(usable('a100 sxm:80')).toBe(81_920 - 400)
  })

  it('has the memory of a Mac once', () => {
    const { nodes, devices } = parseGpuList('m2 ultra:192')
    expect(devices[0]).toMatchObject({ unifiedMemory: true, usableBytes: 144 * gib })
    expect(nodes[0]).toMatchObject({ usableBytes: Math.floor(192 * gib * 0.9), memoryBytesPerS: 819.2e9 })
  })

  it.each([
    ['', 'no GPUs are told'],
    [' , ', 'a machine without devices'],
    ['4090 / ', 'a machine without devices'],
    ['0x4090', 'none of a card is no card'],
    ['4090:x', '"x" is no number from 1 to 65536'],
    ['4090 nvlink', 'RTX 4090 has no NVLink'],
    ['cpu:lots', '"cpu:lots" is no host'],
    ['4090,cpu:64,cpu:32', 'told twice'],
    ['4090 @sneakernet', '"sneakernet" is no network'],
    ['4090 @1gbe / 4090 @10gbe', 'one network joins all machines here'],
    ['99999x4090', '99999 devices in one machine cannot be planned for: at most 32 in each, and 1024 in all'],
    [Array.from({ length: 40 }, () => '32x4090').join('/'), '1280 devices cannot be planned for'],
    ['2x5080ti', '"5080ti" is not in the table of cards'],
  ])('refuses "%s" with the reason', (text, reason) => {
    expect(() => parseGpuList(text)).toThrow(reason)
  })

  it('is read or refused in words, whatever it is', () => {
    const words = fc.constantFrom(
      ...specTable.map(({ card }) => card),
      '2x',
      'x',
      ',',
      '/',
      '@',
      ':',
      '24',
      'cpu',
      'nvlink',
      '10gbe',
      ' ',
    )
    const text = fc.oneof(
      fc.string(),
      fc.array(words).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(text, (list) => {
        try {
          const { nodes, devices, links } = parseGpuList(list)
          const ids = new Set([...devices, ...nodes].map(({ id }) => id))
          expect(ids.size).toBe(devices.length + nodes.length)
          expect(links.every(({ a, b, bytesPerS }) => ids.has(a) && ids.has(b) && bytesPerS > 0)).toBe(true)
          expect(devices.every((device) => device.usableBytes > 0 && device.flopsPerS > 0)).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(DroverError)
          expect(String(error)).toMatch(/\w{3,}/)
        }
      }),
    )
  })
})
