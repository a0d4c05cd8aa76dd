import { describe, expect, it } from 'vitest'
import { linkClassOf, pciPath, withoutOwnSwitch } from './path.ts'
import { recordedSysfs } from './sysfs-record.ts'

/** Two cards below one switch, one below a second switch of the same root port, one on the next root port. */
const tree = {
  a: ['0000:16:00.0', '0000:17:00.0', '0000:18:00.0', '0000:1a:00.0'],
  b: ['0000:16:00.0', '0000:17:00.0', '0000:18:04.0', '0000:1b:00.0'],
  c: ['0000:16:00.0', '0000:17:00.0', '0000:18:08.0', '0000:1c:00.0', '0000:1d:00.0', '0000:1e:00.0'],
  d: ['0000:16:02.0', '0000:20:00.0'],
  e: ['0000:30:01.0', '0000:31:00.0'],
  integrated: ['0000:16:08.0'],
}

describe('the class of a link', () => {
  it.each([
    ['one switch', tree.a, 0, tree.b, 0, 'pix'],
    ['several switches below one root port', tree.a, 0, tree.c, 0, 'pxb'],
    ['root ports of one host bridge', tree.a, 0, tree.d, 0, 'phb'],
    ['a card and graphics in the root complex', tree.d, 0, tree.integrated, 0, 'phb'],
    ['host bridges of one NUMA node', tree.a, 0, tree.e, 0, 'node'],
    ['host bridges of a machine that tells no node', tree.a, undefined, tree.e, undefined, 'node'],
    ['two NUMA nodes', tree.a, 0, tree.e, 1, 'sys'],
    ['a node on one side alone', tree.a, 0, tree.e, undefined, 'sys'],
    [
      'two functions behind one root port',
      ['0000:00:01.0', '0000:01:00.0'],
      0,
      ['0000:00:01.0', '0000:01:00.1'],
      0,
      'pix',
    ],
    ['parts of one card', tree.a, 0, tree.a, 0, 'same_board'],
    ['no path, one node', [], 0, tree.a, 0, 'unknown'],
    ['no path, two nodes', [], 1, tree.a, 0, 'sys'],
  ] as const)('of %s', (_, a, numaA, b, numaB, expected) => {
    expect(linkClassOf(a, numaA, b, numaB)).toBe(expected)
    expect(linkClassOf(b, numaB, a, numaA)).toBe(expected)
  })

  it('is told by the domain as well as by the bus of the host bridge', () => {
    expect(linkClassOf(['0001:00:00.0', '0001:01:00.0'], 0, ['0002:00:00.0', '0002:01:00.0'], 0)).toBe('node')
  })
})

describe('the path to a card', () => {
  const files = recordedSysfs(
    JSON.stringify({
      files: {
        '/sys/bus/pci/devices/0000:03:00.0': {
          symlink: '../../../devices/pci0000:00/0000:00:01.1/0000:01:00.0/0000:02:00.0/0000:03:00.0',
        },
        '/sys/bus/pci/devices/0000:02:00.0': {
          symlink: '../../../devices/pci0000:00/0000:00:01.1/0000:01:00.0/0000:02:00.0',
        },
        '/sys/bus/pci/devices/0000:01:00.0': {
          symlink: '../../../devices/pci0000:00/0000:00:01.1/0000:01:00.0',
        },
        '/sys/devices/pci0000:00/0000:00:01.1/vendor': '0x1022\n',
        '/sys/devices/pci0000:00/0000:00:01.1/0000:01:00.0/vendor': '0x1002\n',
        '/sys/devices/pci0000:00/0000:00:01.1/0000:01:00.0/0000:02:00.0/vendor': '0x1002\n',
        '/sys/devices/pci0000:00/0000:00:01.1/0000:01:00.0/0000:02:00.0/0000:03:00.0/vendor': '0x1002\n',
        '/sys/bus/pci/devices/10001:01:00.0': {
          symlink: '../../../devices/pci0000:e2/0000:e2:00.5/pci10001:00/10001:00:01.0/10001:01:00.0',
        },
        '/sys/devices/pci0000:e2/0000:e2:00.5/pci10001:00/10001:00:01.0/10001:01:00.0/vendor': '0x10de\n',
      },
    }),
  )
  if (files === undefined) throw new Error('the sample is no record')

  it("leaves out the switch that is part of AMD's card", () => {
    expect(pciPath(files, '0000:03:00.0')).toEqual(['0000:00:01.1', '0000:03:00.0'])
  })

  it('keeps domains of more than four digits', () => {
    expect(pciPath(files, '10001:01:00.0')).toEqual(['0000:e2:00.5', '10001:00:01.0', '10001:01:00.0'])
  })

  it('is empty for a device that is not there', () => {
    expect(pciPath(files, '0000:99:00.0')).toEqual([])
  })

  it('never takes the root port for a part of the card', () => {
    const path = ['0000:00:01.0', '0000:01:00.0', '0000:02:01.0', '0000:03:00.0']
    expect(withoutOwnSwitch(path, () => '0x8086')).toEqual({
      path: ['0000:00:01.0', '0000:03:00.0'],
      port: '0000:01:00.0',
    })
    expect(withoutOwnSwitch(path, () => undefined)).toEqual({ path, port: '0000:03:00.0' })
  })
})
