import { describe, expect, it } from 'vitest'
import type { DeviceReading, LinkReading, PlaceReading, ProbeResult } from './contract.ts'
import { mergeReadings } from './merge.ts'

const gib = 2 ** 30
const uuid = (n: number) => `GPU-0000000${n}-0000-0000-0000-000000000000`
const probe = (
  devices: DeviceReading[],
  more: { links?: LinkReading[]; places?: PlaceReading[] } = {},
): ProbeResult => ({ vendor: 'nvidia', devices, links: [], places: [], problems: [], ...more })
const merge = (
  results: ProbeResult[],
  env: Record<string, string> = {},
  knownIds = new Map<string, string>(),
) => mergeReadings(results, { env, knownIds, factsOf: () => ({ tflops: {}, supports: {} }) })

describe('readings of one card', () => {
  it('by UUID or PCI address are one device, with the first that tells a thing believed', () => {
    const { devices } = merge([
      probe([
        {
          vendor: 'nvidia',
          source: 'nvidia-smi',
          uuid: uuid(1),
          pciAddress: '0000:01:00.0',
          name: 'RTX',
          memoryTotalBytes: 8 * gib,
        },
      ]),
      probe([
        {
          vendor: 'nvidia',
          source: 'sysfs',
          pciAddress: '0000:01:00.0',
          name: 'NVIDIA Device 2684',
          numaNode: 1,
        },
      ]),
      probe([{ vendor: 'nvidia', source: 'vulkan', uuid: uuid(1).slice(4), memoryTotalBytes: 1 }]),
    ])
    expect(devices).toHaveLength(1)
    expect(devices[0]).toMatchObject({
      id: uuid(1),
      name: 'RTX',
      memoryTotalBytes: 8 * gib,
      numaNode: 1,
      sources: ['nvidia-smi', 'sysfs', 'vulkan'],
    })
  })

  it('without either are the cards of their PCI id, one after the other', () => {
    const twin = (address: string) =>
      ({ vendor: 'amd', source: 'sysfs', pciAddress: address, pciDeviceId: '0x744c' }) as const
    const { devices } = merge([
      probe([twin('0000:03:00.0'), twin('0000:83:00.0')]),
      probe([
        { vendor: 'amd', source: 'vulkan', pciDeviceId: '0x744c', name: 'first' },
        { vendor: 'amd', source: 'vulkan', pciDeviceId: '0x744c', name: 'second' },
      ]),
    ])
    expect(devices.map(({ name }) => name)).toEqual(['first', 'second'])
  })

  it('are told apart where only their numbers agree', () => {
    const { devices } = merge([
      probe([{ vendor: 'nvidia', source: 'a', index: 0, uuid: uuid(1) }]),
      probe([{ vendor: 'nvidia', source: 'b', index: 0, uuid: uuid(2) }]),
    ])
    expect(devices).toHaveLength(2)
  })
})

describe('an id', () => {
  it('stays with a lost card that no longer tells its UUID', () => {
    const lost: DeviceReading = { vendor: 'nvidia', source: 'a', pciAddress: '0000:4b:00.0', state: 'lost' }
    const known = new Map([['0000:4b:00.0', uuid(3)]])
    expect(merge([probe([lost])], {}, known).devices[0]).toMatchObject({ id: uuid(3), state: 'lost' })
    expect(merge([probe([lost])]).devices[0]?.id).toBe('pci:0000:4b:00.0')
  })

  it('does not follow the order of enumeration', () => {
    const cards = [1, 2].map(
      (n): DeviceReading => ({
        vendor: 'nvidia',
        source: 'a',
        index: n,
        uuid: uuid(n),
        pciAddress: `0000:0${n}:00.0`,
      }),
    )
    const [one, two] = [merge([probe(cards)]), merge([probe(cards.toReversed())])].map(({ devices }) =>
      devices.map(({ id }) => id),
    )
    expect(two).toEqual(one)
  })
})

describe('partitions', () => {
  const card: DeviceReading = {
    vendor: 'nvidia',
    source: 'a',
    index: 0,
    uuid: uuid(1),
    partitioned: true,
    name: 'H100',
    numaNode: 1,
  }
  const part = (n: number): DeviceReading => ({
    vendor: 'nvidia',
    source: 'a',
    kind: 'partition',
    uuid: `MIG-${n}`,
    parent: { uuid: uuid(1) },
    partitionProfile: '3g.40gb',
  })

  it('are devices of their own, and their card takes no work', () => {
    const { devices } = merge([probe([card, part(1), part(2)])])
    expect(devices.map(({ id, parentId, partitioned }) => [id, parentId, partitioned])).toEqual([
      [uuid(1), undefined, true],
      ['MIG-1', uuid(1), undefined],
      ['MIG-2', uuid(1), undefined],
    ])
    expect(devices[1]?.numaNode).toBe(1)
  })

  it('are hidden one by one, and the card with the last of them', () => {
    const states = (list: string) =>
      merge([probe([card, part(1), part(2)])], { CUDA_VISIBLE_DEVICES: list }).devices.map(
        ({ state }) => state,
      )
    expect(states('MIG-2')).toEqual(['ok', 'hidden', 'ok'])
    expect(states(uuid(7))).toEqual(['hidden', 'hidden', 'hidden'])
  })
})

describe('links and places', () => {
  it('find their cards by number or address, each pair once', () => {
    const cards = [0, 1].map(
      (n): DeviceReading => ({
        vendor: 'nvidia',
        source: 'a',
        index: n,
        uuid: uuid(n),
        pciAddress: `0000:0${n}:00.0`,
      }),
    )
    const { devices, links } = merge([
      probe(cards, {
        links: [
          { a: { index: 0 }, b: { index: 1 }, class: 'nvlink', label: 'NV4', links: 4, gbPerSecond: 56 },
          { a: { index: 1 }, b: { index: 0 }, class: 'nvlink', label: 'NV4' },
          { a: { pciAddress: '0000:00:00.0' }, b: { index: 7 }, class: 'sys', label: 'SYS' },
        ],
        places: [{ index: 1, numaNode: 1, cpuAffinity: '4-7' }],
      }),
    ])
    expect(links).toEqual([
      {
        a: uuid(0),
        b: uuid(1),
        class: 'nvlink',
        label: 'NV4',
        links: 4,
        gbPerSecond: { value: 56, from: 'tool' },
      },
    ])
    expect(devices[1]).toMatchObject({ numaNode: 1, cores: [4, 5, 6, 7] })
  })
})
