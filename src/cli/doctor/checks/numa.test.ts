import { describe, expect, it } from 'vitest'
import {
  card,
  codesOf,
  config,
  cpuDevice,
  cpuFacts,
  drivers,
  engines,
  findingOf,
  host,
  machine,
} from '../testing.ts'

const two = cpuFacts([
  [0, 1],
  [2, 3],
])

describe('a card beside another memory', () => {
  it('than all cores of this process is a warning', () => {
    const facts = machine({ devices: [card({ numaNode: 1 })], host: host({ cpu: cpuFacts([[0, 1], []]) }) })
    const found = findingOf(facts, 'card_on_other_node')
    expect(found.level).toBe('warning')
    expect(found.detail).toContain('Its cores are of NUMA node 0, the card hangs on node 1')
    expect(found.command).toContain('node1/cpulist')
  })

  it('is well where some cores are beside it', () => {
    expect(codesOf(machine({ devices: [card({ numaNode: 1 })], host: host({ cpu: two }) }))).toEqual([])
  })
})

it('cards on several nodes are a note on splitting', () => {
  const [listed] = engines().listed
  const seen = ['CUDA0', 'CUDA1', 'CUDA2'].map((name) => ({
    name,
    description: 'x',
    totalBytes: 1,
    freeBytes: 1,
  }))
  const devices = [0, 0, 1].map((numaNode, at) =>
    card({ id: `GPU-${at}`, uuid: `GPU-${at}`, index: at, pciAddress: `0000:0${at + 1}:00.0`, numaNode }),
  )
  const facts = machine({
    devices,
    host: host({ cpu: two }),
    engines: engines({ listed: listed ? [{ ...listed, devices: seen }] : [] }),
  })
  expect(codesOf(facts)).toEqual(['cards_on_several_nodes'])
  expect(findingOf(facts, 'cards_on_several_nodes').detail).toContain('GPU0 and GPU1 on node 0; GPU2 (')
})

describe('a CPU of several nodes that computes', () => {
  const { nvidiaModule: _, ...bare } = drivers({ files: [] })
  const facts = (changes: Parameters<typeof config>[0], numaBalancing = false) =>
    machine({
      devices: [cpuDevice()],
      drivers: bare,
      host: host({ cpu: two, numaBalancing }),
      config: { config: config(changes), warnings: [] },
    })

  it('is told to be made several devices', () => {
    expect(findingOf(facts({}), 'cpu_nodes_as_one').command).toBe('DROVER_DEVICES=numa drover serve')
    expect(codesOf(facts({ devices: [{ selector: { kind: 'numa' }, settings: {} }] }))).toEqual(['no_gpu'])
  })

  it('is told that the kernel moves its memory', () => {
    expect(codesOf(facts({}, true))).toContain('numa_balancing')
    expect(codesOf(machine({ host: host({ cpu: two, numaBalancing: true }) }))).toEqual([])
  })
})
