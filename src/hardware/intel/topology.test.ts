import { describe, expect, it } from 'vitest'
import { box, read } from './readers.fixture.ts'

describe('xpu-smi topology', () => {
  it('tells every pair of tiles of a matrix in columns of blanks', () => {
    const { links, places } = read(
      [
        '            GPU 0/0             GPU 1/0             GPU 2/0             CPU Affinity',
        'GPU 0/0     S                   XL 1,2              SYS                 0-15',
        'GPU 1/0     XL 1,2              S                   NODE                16-31',
        'GPU 2/0     SYS                 NODE                S                   16-31',
      ].join('\n'),
    )
    expect(links.map(({ a, b, class: link, label }) => [a.index, b.index, link, label])).toEqual([
      [0, 1, 'xelink', 'XL 1,2'],
      [0, 2, 'sys', 'SYS'],
      [1, 2, 'node', 'NODE'],
    ])
    expect(places).toEqual([
      { index: 0, cpuAffinity: '0-15' },
      { index: 1, cpuAffinity: '16-31' },
      { index: 2, cpuAffinity: '16-31' },
    ])
  })

  it('knows the classes of newer versions, and says which row is cut short', () => {
    const text = [
      '        GPU 0/0|GPU 1/0|GPU 2/0|CPU Affinity',
      'GPU 0/0|S      |PIX    |PHB    |0-7',
      'GPU 1/0|PIX    |S',
      'GPU 2/0|PHB    |PXB    |S      |0-7',
    ].join('\n')
    const { links, notes } = read(text)
    expect(links.map(({ class: link }) => link)).toEqual(['pix', 'phb'])
    expect(notes).toEqual(['the row of GPU 1/0 is cut short'])
  })

  it('tells where a card stands from table and JSON', () => {
    const table = box(
      '| Device ID | Topology Information |',
      '| 0 | Local CPU List: 0-23,48-71 |',
      '|  | Local CPUs: 000000ff |',
      '|  | PCIe Switch Count: 1 |',
    )
    expect(read(table).places).toEqual([{ index: 0, cpuAffinity: '0-23,48-71' }])
    expect(read('{"device_id": 2, "affinity_localcpulist": "8-15", "switch_count": 0}').places).toEqual([
      { index: 2, cpuAffinity: '8-15' },
    ])
    const cell = (a: number, b: number) => ({
      local_device_id: a,
      local_subdevice_id: 0,
      local_numa_index: a,
      local_cpu_affinity: '0-3',
      remote_device_id: b,
      remote_subdevice_id: 0,
      link_type: a === b ? 'S' : 'XL',
      port_list: [1, 0, 1],
    })
    const { links, places } = read(
      JSON.stringify({ topo_list: [cell(0, 0), cell(0, 1), cell(1, 0), cell(1, 1)] }),
    )
    expect(links).toEqual([
      { a: { index: 0, tile: 0 }, b: { index: 1, tile: 0 }, class: 'xelink', label: 'XL', links: 2 },
    ])
    expect(places).toEqual([
      { index: 0, numaNode: 0, cpuAffinity: '0-3' },
      { index: 1, numaNode: 1, cpuAffinity: '0-3' },
    ])
  })
})
