import type { Inventory, Plan, PlanLink, PlanModel, PlanWishes } from '../contract.ts'
import { parseGpuList } from '../inventory/index.ts'
import type { FamousName } from './famous-models.ts'

/** What an expert would answer. What is not told may be anything. */
export interface Answer {
  strategy?: Plan['strategy']
  engine?: Plan['instances'][number]['engine']
  instances?: number
  /** Devices of the first instance, by name where they are unlike. */
  devices?: number
  names?: readonly string[]
  tensorSize?: number
  pipelineSize?: number
  nodes?: number
  /** What of the first instance host memory holds. */
  host?: 'nothing' | 'experts' | 'layers' | 'all'
  context?: number
  atLeastTokensPerS?: number
  atMostTokensPerS?: number
  /** Ids of the first instance's devices. */
  ids?: readonly string[]
}

/** Machines and a model, with the answer. */
export interface Situation {
  title: string
  model: FamousName | PlanModel
  fileType?: string
  machines: string | Inventory
  wishes?: PlanWishes
  answer: Answer | { refused: RegExp }
}

/** RTX 3090s of which each has a bridge to one other: gpu0 to gpu2, gpu1 to gpu3, and so on. */
export function pairs(count: number): Inventory {
  const inventory = parseGpuList(`${count}x3090`)
  const bridged = new Set<string>()
  for (let group = 0; group < count; group += 4) {
    for (const at of [group, group + 1]) bridged.add(`gpu${at} gpu${at + 2}`)
  }
  const links: PlanLink[] = [...bridged].map((pair) => {
    const [a = '', b = ''] = pair.split(' ')
    return { a, b, class: 'nvlink', bytesPerS: 56e9, latencyS: 10e-6, peerAccess: true }
  })
  return { ...inventory, links }
}

/** Four RTX 3090s of which every second one is on the other socket. */
export function sockets(): Inventory {
  const inventory = parseGpuList('4x3090')
  return {
    ...inventory,
    links: [],
    devices: inventory.devices.map((device, at) => ({ ...device, numaNode: at % 2 })),
  }
}

/** The same machines, one device of them in doubt. */
export function degraded(machines: string, id: string): Inventory {
  const inventory = parseGpuList(machines)
  return {
    ...inventory,
    devices: inventory.devices.map((device) => (device.id === id ? { ...device, degraded: true } : device)),
  }
}

/** The same machines with other engines. */
export function engines(machines: string, names: Inventory['nodes'][number]['engines']): Inventory {
  const inventory = parseGpuList(machines)
  return { ...inventory, nodes: inventory.nodes.map((node) => ({ ...node, engines: names })) }
}

/** The same machines, `bytes` of one device taken by other programs. */
export function lessFree(machines: string, id: string, bytes: number): Inventory {
  const inventory = parseGpuList(machines)
  return {
    ...inventory,
    devices: inventory.devices.map((device) =>
      device.id === id ? { ...device, usableBytes: device.usableBytes - bytes } : device,
    ),
  }
}
