import type { EngineName } from '../../engines/index.ts'
import type { Link } from '../../hardware/index.ts'
import type { Inventory, PlanNode } from '../contract.ts'
import type { WorkerDevice } from '../worker-devices.ts'
import { planDeviceOf, usableOf } from './devices.ts'
import { planLinkOf } from './imagine.ts'

/** A host of which nothing was measured: two channels of memory, and cores that each do so much (AVX2). */
const assumedHost = { memoryBytesPerS: 40e9, flopsPerCore: 30e9 }

/** A machine that is there, by what was found out of it. */
export interface FoundMachine {
  /** The node's name. */
  node: string
  /**
   * As the engine can use them; attached servers among them are left out: what they have is not known. Lent ones count in
   * `inventoryWithLent` only.
   */
  devices: readonly WorkerDevice[]
  /** Of `buildTopology`. */
  links: readonly Link[]
  /** What it can start, the preferred one first. */
  engines: readonly EngineName[]
  /** It has llama.cpp's RPC worker. */
  rpc: boolean
  host: { usableBytes: number; cores: number }
  /** What models may take of a device; absent: all of it but the driver's part. */
  usableBytes?(worker: WorkerDevice): number
  degraded?(deviceId: string): boolean
}

/** A machine as plans know it. What was measured through an engine goes before the table, and is marked so. */
export function inventoryOf(machine: FoundMachine): Inventory {
  const gpus = machine.devices.filter(({ kind }) => kind === 'gpu')
  const ids = new Set(gpus.map(({ id }) => id))
  return {
    nodes: [nodeOf(machine)],
    devices: gpus.map((worker) => {
      const { id, device, engineName, memoryTotalBytes, settings } = worker
      const told = { ...device, memoryTotalBytes }
      return planDeviceOf(told, {
        id,
        node: machine.node,
        usableBytes: machine.usableBytes?.(worker) ?? usableOf(told),
        engineName,
        degraded: machine.degraded?.(id) ?? false,
        watts: settings.watts,
        labels: settings.labels,
      })
    }),
    links: machine.links.filter(({ a, b }) => ids.has(a) && ids.has(b)).flatMap(planLinkOf),
  }
}

function nodeOf({ node, devices, engines, rpc, host }: FoundMachine): PlanNode {
  const cpus = devices.filter(({ kind }) => kind === 'cpu').map(({ device }) => device)
  const rates = cpus.flatMap(({ facts }) => facts.bandwidthGBs?.value ?? [])
  const numaNodes = new Set(devices.flatMap(({ device }) => device.numaNode ?? [])).size
  return {
    id: node,
    usableBytes: host.usableBytes,
    memoryBytesPerS: rates.length > 0 ? Math.max(...rates) * 1e9 : assumedHost.memoryBytesPerS,
    flopsPerS: host.cores * assumedHost.flopsPerCore,
    engines,
    rpc,
    ...(numaNodes > 1 && { numaNodes }),
  }
}
