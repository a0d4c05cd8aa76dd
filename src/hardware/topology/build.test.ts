import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Link, LinkClass } from '../contract.ts'
import { buildTopology } from './build.ts'
import { linkClasses } from './classes.ts'
import { bridgeGroups } from './groups.ts'
import {
  bridgedPairs,
  cpu,
  cubeMesh,
  gpu,
  instinct,
  link,
  partitioned,
  switched,
  unified,
} from './machines.fixture.ts'

const classBetween = (topology: { links: readonly Link[] }, a: string, b: string) =>
  topology.links.find((each) => (each.a === a && each.b === b) || (each.a === b && each.b === a))?.class

describe('a topology', () => {
  it('has every pair once, in the order of the devices, for any devices and links', () => {
    const node = fc.option(fc.nat(3), { nil: undefined })
    const devices = fc.array(fc.record({ node, isCpu: fc.boolean() }), { maxLength: 9 })
    const end = fc.nat(11)
    const linkClass = fc.constantFrom(...(Object.keys(linkClasses) as LinkClass[]))
    const links = fc.array(fc.record({ a: end, b: end, linkClass }), { maxLength: 30 })
    fc.assert(
      fc.property(devices, links, (shapes, ends) => {
        const made = shapes.map(({ node: numaNode, isCpu }, at) => ({
          ...(isCpu ? cpu(at, 'CPU', 2, 16) : gpu(at, 'NVIDIA L4', 24)),
          id: `d${at}`,
          ...(numaNode !== undefined && { numaNode }),
        }))
        const told = ends.map(({ a, b, linkClass: name }) => ({
          a: `d${a}`,
          b: `d${b}`,
          class: name,
          label: name,
        }))
        const topology = buildTopology(made, told)
        const pairs = made.flatMap((a, at) => made.slice(at + 1).map((b) => [a.id, b.id]))
        expect(topology.links.map(({ a, b }) => [a, b])).toEqual(pairs)
        for (const { gbPerSecond } of topology.links) {
          expect(
            gbPerSecond === undefined || (Number.isFinite(gbPerSecond.value) && gbPerSecond.value > 0),
          ).toBe(true)
        }
      }),
    )
  })

  it('keeps what a tool told, whichever way round', () => {
    const [a, b] = [gpu(0, 'NVIDIA L4', 24), gpu(1, 'NVIDIA L4', 24)]
    const told = {
      ...link(b, a, 'pxb', 'PXB'),
      peerAccess: true,
      gbPerSecond: { value: 21, from: 'measured' },
    } as const
    expect(buildTopology([a, b], [told]).links).toEqual([{ ...told, a: a.id, b: b.id }])
  })

  it('believes the nearest of several, and keeps what only the others told', () => {
    const [a, b] = [gpu(0, 'Tesla V100-SXM2-32GB', 32), gpu(1, 'Tesla V100-SXM2-32GB', 32)]
    const links = [{ ...link(a, b, 'node', 'NODE'), peerAccess: true }, link(b, a, 'nvlink', 'NV2', 2)]
    expect(buildTopology([a, b], links).links[0]).toMatchObject({
      class: 'nvlink',
      label: 'NV2',
      peerAccess: true,
    })
  })

  it('works out pairs that no tool told of from NUMA nodes', () => {
    const { devices } = bridgedPairs()
    const topology = buildTopology(devices, [])
    expect(classBetween(topology, 'GPU-0', 'GPU-1')).toBe('node')
    expect(classBetween(topology, 'GPU-1', 'GPU-2')).toBe('sys')
    expect(classBetween(topology, 'GPU-1', 'cpu:0')).toBe('phb')
    expect(classBetween(topology, 'GPU-1', 'cpu:1')).toBe('sys')
    expect(classBetween(topology, 'cpu:0', 'cpu:1')).toBe('sys')
  })

  it('says so where nodes are not told, and takes the only node there is', () => {
    const [a, b] = [gpu(0, 'NVIDIA L4', 24), gpu(1, 'NVIDIA L4', 24)]
    expect(buildTopology([a, b], []).links).toEqual([{ a: a.id, b: b.id, class: 'unknown', label: '?' }])
    const withCpu = buildTopology([a, b, cpu(0, 'CPU', 8, 64)], [])
    expect(withCpu.links.map((each) => each.class)).toEqual(['node', 'phb', 'phb'])
    const twoNodes = buildTopology([a, cpu(0, 'CPU', 8, 64), cpu(1, 'CPU', 8, 64)], [])
    expect(twoNodes.links.map((each) => each.class)).toEqual(['unknown', 'unknown', 'sys'])
  })

  it('takes a CPU device of no node for all of the CPUs', () => {
    const { numaNode: _, ...whole } = cpu(0, 'CPU', 64, 256)
    const topology = buildTopology(
      [gpu(0, 'NVIDIA L4', 24, { numaNode: 1 }), gpu(1, 'NVIDIA L4', 24, { numaNode: 0 }), whole],
      [],
    )
    expect(topology.links.map((each) => each.class)).toEqual(['sys', 'phb', 'phb'])
  })

  it('joins parts of one card, and not by its NVLink those of two', () => {
    const { devices, links } = partitioned()
    const topology = buildTopology(devices, links)
    expect(classBetween(topology, 'GPU-10', 'GPU-11')).toBe('same_board')
    expect(classBetween(topology, 'GPU-0', 'GPU-11')).toBe('same_board')
    expect(classBetween(topology, 'GPU-1', 'GPU-11')).toBe('node')
    expect(classBetween(topology, 'cpu:0', 'GPU-11')).toBe('phb')
  })

  it('joins parts of two cards as their cards are, where those are not on NVLink', () => {
    const part = (index: number, parentId: string) =>
      gpu(index, 'AMD Instinct MI300X', 24, { vendor: 'amd', kind: 'partition', parentId })
    const { devices, links } = instinct()
    const topology = buildTopology([...devices, part(20, 'GPU-0'), part(21, 'GPU-7')], links)
    expect(classBetween(topology, 'GPU-20', 'GPU-21')).toBe('xgmi')
  })

  it('has chip and CPU of one memory together', () => {
    const { devices, links } = unified()
    expect(buildTopology(devices, links).links[0]).toMatchObject({
      class: 'same_board',
      gbPerSecond: { value: 409.6 },
    })
  })
})

describe('groups by bridge', () => {
  const groupsOf = ({ devices, links }: ReturnType<typeof switched>) =>
    bridgeGroups(buildTopology(devices, links)).map(({ name, members, uniform }) => [
      name,
      members.length,
      uniform,
    ])

  it('are the sets of cards that are joined, named in order', () => {
    expect(groupsOf(switched())).toEqual([['NVLink A', 8, true]])
    expect(groupsOf(bridgedPairs())).toEqual([
      ['NVLink A', 2, true],
      ['NVLink B', 2, true],
    ])
    expect(groupsOf(cubeMesh())).toEqual([['NVLink A', 8, false]])
    expect(groupsOf(instinct())).toEqual([['Infinity Fabric A', 8, true]])
    expect(groupsOf(unified())).toEqual([])
  })
})
