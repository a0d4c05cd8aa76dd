import type { NetworkFacts } from '../../engines/index.ts'
import type { Inventory, PlanDevice, PlanLink, PlanNode } from '../contract.ts'
import { linkDefaults } from '../speed/index.ts'
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
  const networks = new Map(lent.map(({ rpc }) => [rpc?.address ?? '', rpc?.network]))
  return {
    nodes: [...own.nodes, ...[...networks.keys()].map(lendingNode)],
    devices: [...own.devices, ...lent.map((worker) => lentDevice(worker, machine))],
    links: [...own.links, ...networkLinks(machine.node, [...networks])],
  }
}

/**
 * The ways to the lending machines as they were measured, and between two of them: what one of llama.cpp's workers hands
 * to another goes through this machine. Those of which nothing is known are taken for a usual network.
 */
function networkLinks(
  node: string,
  networks: readonly (readonly [address: string, network: NetworkFacts | undefined])[],
): PlanLink[] {
  const ways = networks.map(([address, network]) => {
    const { bytesPerS, latencyS } = network
      ? { bytesPerS: network.bytesPerS, latencyS: network.roundTripMs / 2000 }
      : linkDefaults.lan
    return { a: node, b: address, class: 'lan' as const, bytesPerS, latencyS }
  })
  const through = ways.flatMap((way, at) =>
    ways.slice(at + 1).map((other) => ({
      a: way.b,
      b: other.b,
      class: 'lan' as const,
      bytesPerS: 1 / (1 / way.bytesPerS + 1 / other.bytesPerS),
      latencyS: way.latencyS + other.latencyS,
    })),
  )
  return [...ways, ...through]
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
