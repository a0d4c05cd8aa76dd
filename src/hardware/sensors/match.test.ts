import { expect, it } from 'vitest'
import type { Device, DeviceReading } from '../contract.ts'
import { cardWith } from '../health/testing.ts'
import { matcherOf } from './match.ts'

const uuid = (last: string) => `GPU-00000000-0000-4000-8000-00000000000${last}`

const devices: Device[] = [
  cardWith({ id: 'first', uuid: uuid('a'), pciAddress: '0000:01:00.0', index: 0 }),
  cardWith({ id: 'second', uuid: uuid('b'), pciAddress: '0000:02:00.0', index: 1 }),
  cardWith({
    id: 'part',
    kind: 'partition',
    uuid: 'MIG-1',
    pciAddress: '0000:02:00.0',
    index: 1,
    parentId: 'second',
  }),
]
const amd = cardWith({ id: 'amd', vendor: 'amd', uuid: '0xd2ff744a', pciAddress: '0000:03:00.0', index: 0 })
const find = matcherOf([...devices, amd])

const found = (reading: Partial<DeviceReading>) => find({ vendor: 'nvidia', source: 'test', ...reading })?.id

it.each<[string, Partial<DeviceReading>, string | undefined]>([
  ['by UUID, whatever number it has now', { uuid: uuid('b'), index: 0 }, 'second'],
  ['by a UUID in other letters', { uuid: uuid('b').toUpperCase() }, 'second'],
  ['by address, where no UUID is told', { pciAddress: '0000:02:00.0', index: 0 }, 'second'],
  ['by number, where nothing else is told', { index: 0 }, 'first'],
  ['by number of its own vendor', { vendor: 'amd', index: 0 }, 'amd'],
  ['by the UUID of a partition', { uuid: 'MIG-1', pciAddress: '0000:02:00.0' }, 'part'],
  ['by the number of a partition that is told to be one', { kind: 'partition', index: 1 }, undefined],
  ['not by number, where the address is another', { pciAddress: '0000:09:00.0', index: 0 }, undefined],
  [
    'not by address, where another card is in the slot',
    { uuid: uuid('c'), pciAddress: '0000:01:00.0' },
    undefined,
  ],
  [
    'by address, where the tool names cards in another form',
    { vendor: 'amd', uuid: 'b2ff-11', pciAddress: '0000:03:00.0' },
    'amd',
  ],
  ['not by what is nowhere', { index: 7 }, undefined],
  ['not by nothing', {}, undefined],
])('a device is found %s', (_, reading, id) => {
  expect(found(reading)).toBe(id)
})
