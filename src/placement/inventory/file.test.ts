import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import { parseInventory } from './file.ts'

const gib = 2 ** 30

const attic = `
nodes:
  - name: attic
    memoryGiB: 128
    numaNodes: 2
    engines: [llama.cpp]
    devices:
      - {device: RTX 3090, count: 2, nvlink: true, numaNode: 0, reserveGiB: 1}
      - {device: 3060, numaNode: 1, labels: {fan: loud}}
      - {device: Some Card, vendor: amd, memoryGiB: 20, memoryGBs: 500, tflops: 30, watts: 200}
  - name: cellar
    count: 2
    rpc: false
    devices:
      - device: rx7900xtx
network: 1gbe
links:
  - {between: [attic, cellar-1], network: 10gbe}
  - {between: [attic/gpu0, attic/gpu2], class: sys, gbPerSecond: 9, latencyUs: 40}
`

describe('an inventory file', () => {
  it('has nodes, devices and links', () => {
    const { nodes, devices, links } = parseInventory(attic)
    expect(nodes.map(({ id, rpc }) => [id, rpc])).toEqual([
      ['attic', true],
      ['cellar-1', false],
      ['cellar-2', false],
    ])
    expect(nodes[0]).toMatchObject({ numaNodes: 2, engines: ['llama.cpp'] })
    expect(devices.map(({ id, name, engineName }) => [id, name, engineName])).toEqual([
      ['attic/gpu0', 'RTX 3090', 'CUDA0'],
      ['attic/gpu1', 'RTX 3090', 'CUDA1'],
      ['attic/gpu2', 'RTX 3060', 'CUDA2'],
      ['attic/gpu3', 'Some Card', 'ROCm0'],
      ['cellar-1/gpu0', 'RX 7900 XTX', 'ROCm0'],
      ['cellar-2/gpu0', 'RX 7900 XTX', 'ROCm0'],
    ])
    expect(devices[0]?.usableBytes).toBe(24 * gib - 400 * 2 ** 20 - gib)
    expect(devices[2]).toMatchObject({ labels: { fan: 'loud' }, numaNode: 1 })
    expect(devices[3]).toMatchObject({ memoryBytesPerS: 500e9, flopsPerS: 30e12, watts: 200 })
    const rates = links.map(({ a, b, class: name, bytesPerS }) => [
      `${a} ${b}`,
      name,
      Math.round(bytesPerS / 1e7) / 100,
    ])
    expect(rates).toContainEqual(['attic/gpu0 attic/gpu1', 'nvlink', 56.25])
    expect(rates).toContainEqual(['attic/gpu0 attic/gpu2', 'sys', 9])
    expect(rates).toContainEqual(['attic cellar-1', 'lan', 1.18])
    expect(rates).toContainEqual(['attic cellar-2', 'lan', 0.12])
    expect(new Set(rates.map(([pair]) => pair)).size).toBe(rates.length)
  })

  it('may be JSON', () => {
    const { devices } = parseInventory('{"nodes": [{"devices": [{"device": "4090", "count": 2}]}]}')
    expect(devices.map(({ id }) => id)).toEqual(['gpu0', 'gpu1'])
  })

  it.each([
    ['nodes: []', 'line 1: "nodes": Too small'],
    ['nodes: 3', 'line 1: "nodes": Invalid input: expected array, received number, not 3'],
    ['', 'expected object'],
    [
      'nodes:\n  - devices:\n    - device: foo4090\n',
      'line 3: "nodes.0.devices.0.device": "foo4090" is not in the table',
    ],
    [
      'nodes:\n  - devices:\n    - device: 4090\n      count: -2\n',
      'line 4: "nodes.0.devices.0.count": Too small',
    ],
    ['nodes:\n  - memory: 3\n', 'there is no field "memory", but name, count, memoryGiB, memoryGBs'],
    [
      'nodes:\n  - engines: [vlm]\n',
      'line 2: "nodes.0.engines.0": Invalid option: expected one of "llama.cpp"',
    ],
    ['nodes:\n  - name: a\n  - name: a\n', 'line 3: "nodes.1.name": two nodes are named a'],
    ['nodes:\n  - name: a\nnetwork: fast\n', 'line 3: "network": "fast" is no network'],
    [
      'nodes:\n  - name: a\nlinks:\n  - between: [a, b]\n',
      'line 4: "links.0.between": there is no "b", but a',
    ],
    ['nodes:\n  - devices:\n    - {device: 4090, nvlink: true}\n', 'RTX 4090 has no NVLink'],
    [
      'nodes:\n  - devices:\n    - {device: 4090, count: 2}\nlinks:\n  - between: [gpu0, gpu1]\n',
      'how fast it is',
    ],
    ['nodes: [', 'line 1:'],
  ])('is refused with line, field and value: %j', (text, reason) => {
    expect(() => parseInventory(text)).toThrow(reason)
  })

  it('is read or refused in words, whatever it holds', () => {
    const yaml = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .record({ nodes: fc.anything(), links: fc.anything(), network: fc.anything() })
        .map((content) => JSON.stringify(content) ?? ''),
      fc.array(fc.constantFrom(...attic.split('\n'))).map((lines) => lines.join('\n')),
    )
    fc.assert(
      fc.property(yaml, (text) => {
        try {
          expect(parseInventory(text).nodes.length).toBeGreaterThan(0)
        } catch (error) {
          expect(error).toBeInstanceOf(DroverError)
          expect(String(error)).toContain('inventory: ')
        }
      }),
    )
  })
})
