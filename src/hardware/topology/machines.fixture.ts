import type { Device, Link, LinkClass } from '../contract.ts'
import { factsOf } from '../specs/index.ts'

/** Machines of the kinds that are in use, made up, for tests and for looking at drawings. */
export interface Machine {
  devices: Device[]
  links: Link[]
}

const gib = 1024 ** 3

export function gpu(index: number, name: string, memoryGiB: number, more: Partial<Device> = {}): Device {
  const vendor = more.vendor ?? 'nvidia'
  const memoryTotalBytes = memoryGiB * gib
  return {
    id: `GPU-${index}`,
    vendor,
    kind: 'discrete',
    name,
    state: 'ok',
    sources: ['fixture'],
    index,
    memoryTotalBytes,
    unifiedMemory: false,
    facts: factsOf({ vendor, name, memoryTotalBytes, ...more }),
    ...more,
  }
}

export function cpu(node: number, name: string, cores: number, memoryGiB: number): Device {
  return {
    id: `cpu:${node}`,
    vendor: 'cpu',
    kind: 'cpu',
    name,
    state: 'ok',
    sources: ['fixture'],
    numaNode: node,
    cores: Array.from({ length: cores }, (_, core) => node * cores + core),
    memoryTotalBytes: memoryGiB * gib,
    unifiedMemory: false,
    facts: { tflops: {}, supports: {} },
  }
}

export function link(a: Device, b: Device, linkClass: LinkClass, label: string, links?: number): Link {
  return { a: a.id, b: b.id, class: linkClass, label, ...(links !== undefined && { links }) }
}

/** Links between all pairs, as `of` says; pairs for which it says nothing are not told. */
export function linksBetween(
  devices: readonly Device[],
  of: (a: number, b: number) => string | undefined,
): Link[] {
  return devices.flatMap((a, at) =>
    devices.slice(at + 1).flatMap((b, next) => {
      const label = of(at, at + 1 + next)
      if (label === undefined) return []
      const bonded = /^NV(\d+)$/.exec(label)?.[1]
      const linkClass = (bonded ? 'nvlink' : label.toLowerCase()) as LinkClass
      return [link(a, b, linkClass, label, bonded === undefined ? undefined : Number(bonded))]
    }),
  )
}

function times<T>(count: number, make: (at: number) => T): T[] {
  return Array.from({ length: count }, (_, at) => make(at))
}

const gen4 = { generation: 4, width: 16, maxGeneration: 4, maxWidth: 16 }
const gen5 = { generation: 5, width: 16, maxGeneration: 5, maxWidth: 16 }

/** A workstation: two cards, one of them in a slot of four lanes. */
export function workstation(): Machine {
  const name = 'NVIDIA GeForce RTX 3090'
  const first = gpu(0, name, 24, { numaNode: 0, pcie: { ...gen4, generation: 1 }, computeCapability: '8.6' })
  const second = gpu(1, name, 24, { numaNode: 0, pcie: { ...gen4, width: 4 }, computeCapability: '8.6' })
  return {
    devices: [first, second, cpu(0, 'AMD Ryzen Threadripper PRO 5955WX 16-Cores', 16, 128)],
    links: [link(first, second, 'phb', 'PHB')],
  }
}

/** Four cards in two bridged pairs, two sockets. */
export function bridgedPairs(): Machine {
  const cards = times(4, (at) =>
    gpu(at, 'NVIDIA RTX A6000', 48, { numaNode: at >> 1, pcie: gen4, computeCapability: '8.6' }),
  )
  return {
    devices: [
      ...cards,
      cpu(0, 'Intel(R) Xeon(R) Gold 6338', 32, 256),
      cpu(1, 'Intel(R) Xeon(R) Gold 6338', 32, 256),
    ],
    links: linksBetween(cards, (a, b) => (a >> 1 === b >> 1 ? 'NV4' : 'SYS')),
  }
}

/** Eight cards behind NVSwitch. */
export function switched(): Machine {
  const cards = times(8, (at) =>
    gpu(at, 'NVIDIA H100 80GB HBM3', 80, { numaNode: at >> 2, pcie: gen5, computeCapability: '9.0' }),
  )
  const xeon = 'Intel(R) Xeon(R) Platinum 8480C'
  return {
    devices: [...cards, cpu(0, xeon, 56, 1024), cpu(1, xeon, 56, 1024)],
    links: linksBetween(cards, () => 'NV18'),
  }
}

/** Eight cards in a hybrid cube mesh, as in the DGX-1. */
export function cubeMesh(): Machine {
  const mesh = [
    '01:1 02:1 03:2 04:2',
    '12:2 13:1 15:2',
    '23:2 26:1',
    '37:1',
    '45:1 46:1 47:2',
    '56:2 57:1',
    '67:2',
  ]
  const bonds = new Map(
    mesh.flatMap((row) => row.split(' ')).map((entry) => [entry.slice(0, 2), entry.slice(3)]),
  )
  const pcie = { generation: 3, width: 16, maxGeneration: 3, maxWidth: 16 }
  const cards = times(8, (at) =>
    gpu(at, 'Tesla V100-SXM2-32GB', 32, { numaNode: at >> 2, pcie, computeCapability: '7.0' }),
  )
  const xeon = 'Intel(R) Xeon(R) CPU E5-2698 v4 @ 2.20GHz'
  return {
    devices: [...cards, cpu(0, xeon, 20, 256), cpu(1, xeon, 20, 256)],
    links: linksBetween(cards, (a, b) => {
      const bonded = bonds.get(`${a}${b}`)
      if (bonded !== undefined) return `NV${bonded}`
      return a >> 2 === b >> 2 ? 'PIX' : 'SYS'
    }),
  }
}

/** Sixteen cards behind PCIe switches of four, one lost, one cut into partitions. */
export function sixteen(): Machine {
  const cards = times(16, (at) =>
    gpu(at, 'NVIDIA L40S', 48, {
      numaNode: at >> 3,
      pcie: at === 5 ? { ...gen4, width: 8 } : gen4,
      computeCapability: '8.9',
    }),
  )
  const lost = cards[9]
  if (lost) lost.state = 'lost'
  const epyc = 'AMD EPYC 9654 96-Core Processor'
  return {
    devices: [...cards, cpu(0, epyc, 96, 768), cpu(1, epyc, 96, 768)],
    links: linksBetween(cards, (a, b) => (a >> 2 === b >> 2 ? 'PIX' : a >> 3 === b >> 3 ? 'NODE' : 'SYS')),
  }
}

/** Eight cards, each joined to each other, four NUMA nodes. */
export function instinct(): Machine {
  const cards = times(8, (at) =>
    gpu(at, 'AMD Instinct MI300X', 192, { vendor: 'amd', numaNode: at >> 1, pcie: gen5, gfx: 'gfx942' }),
  )
  const epyc = 'AMD EPYC 9474F 48-Core Processor'
  return {
    devices: [...cards, ...times(4, (node) => cpu(node, epyc, 24, 384))],
    links: linksBetween(cards, () => 'XGMI'),
  }
}

/** A card cut into instances, beside one that is whole. */
export function partitioned(): Machine {
  const name = 'NVIDIA A100-SXM4-80GB'
  const traits = { numaNode: 0, pcie: gen4, computeCapability: '8.0' }
  const cards = times(2, (at) => gpu(at, name, 80, traits))
  const parts = times(3, (at) =>
    gpu(10 + at, `${name} MIG 2g.20gb`, 20, {
      kind: 'partition',
      partitionProfile: '2g.20gb',
      parentId: 'GPU-0',
      computeCapability: '8.0',
    }),
  )
  return {
    devices: [...cards, ...parts, cpu(0, 'AMD EPYC 7742 64-Core Processor', 64, 512)],
    links: linksBetween(cards, () => 'NV12'),
  }
}

/** One chip with one memory. */
export function unified(): Machine {
  const chip = gpu(0, 'Apple M3 Max', 64, {
    vendor: 'apple',
    kind: 'integrated',
    unifiedMemory: true,
    computeUnits: 40,
  })
  return { devices: [chip, cpu(0, 'Apple M3 Max', 16, 64)], links: [] }
}
