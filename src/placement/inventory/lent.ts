import type { Inventory, PlanDevice, PlanNode } from '../contract.ts'
import type { WorkerDevice } from '../worker-devices.ts'
import { backendOf } from './devices.ts'
import { type FoundMachine, inventoryOf } from './machine.ts'

/** What a lent device does, of which its machine tells no more than its memory: a middling card, a middling host. */
const assumed = {
  gpu: { memoryBytesPerS: 200e9, flopsPerS: 10e12 },
  cpu: { memoryBytesPerS: 40e9, flopsPerS: 0.3e12 },
}

/**
 * A machine with what other machines lend it: each of these is a node by its address, without memory of its own or an
 * engine. Engines other than llama.cpp cannot use lent devices, so machines that start none but those have none.
 */
export function inventoryWithLent(machine: FoundMachine): Inventory {
  const own = inventoryOf(machine)
  const lent = machine.engines.includes('llama.cpp')
    ? machine.devices.filter(({ rpc }) => rpc !== undefined)
    : []
  const addresses = new Set(lent.map(({ rpc }) => rpc?.address ?? ''))
  return {
    nodes: [...own.nodes, ...[...addresses].map(lendingNode)],
    devices: [...own.devices, ...lent.map((worker) => lentDevice(worker, machine))],
    links: own.links,
  }
}

function lendingNode(address: string): PlanNode {
  return { id: address, address, usableBytes: 0, ...assumed.cpu, engines: [], rpc: true }
}

function lentDevice(
  worker: WorkerDevice,
  { usableBytes, degraded }: Pick<FoundMachine, 'usableBytes' | 'degraded'>,
): PlanDevice {
  const { id, device, engineName, rpc, memoryTotalBytes } = worker
  const { vendor, name } = device
  return {
    id,
    node: rpc?.address ?? '',
    name,
    vendor,
    backend: backendOf(vendor, engineName),
    ...(engineName !== undefined && { engineName }),
    totalBytes: memoryTotalBytes,
    usableBytes: usableBytes?.(worker) ?? memoryTotalBytes,
    ...(vendor === 'cpu' ? assumed.cpu : assumed.gpu),
    ...(degraded?.(id) && { degraded: true }),
  }
}
