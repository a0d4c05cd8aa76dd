import type { Device, DeviceProbe, HostSystem, Link, ProbeResult } from './contract.ts'
import { type CpuFacts, type CpuPart, cpuDevices, readCpu } from './cpu/index.ts'
import { type MergeOptions, mergeReadings } from './merge.ts'

/** Everything that was found on this machine at one time. */
export interface Inventory {
  /** GPUs and their partitions, then the CPU. */
  devices: Device[]
  /** Links that tools told of; `buildTopology` fills in the others. */
  links: Link[]
  cpu: CpuFacts
  /** What probes could not do, each with what to do about it. */
  problems: string[]
}

export interface InventoryOptions {
  system: HostSystem
  /** In order of trust: of what two tell differently, the first is believed. */
  probes: readonly DeviceProbe[]
  factsOf: MergeOptions['factsOf']
  cpuParts?: readonly CpuPart[]
}

/** Looks for devices, and remembers what it found. */
export interface DeviceFinder {
  /** The last scan; the first call makes one. Throws only for CPU cores that are not there. */
  find(): Promise<Inventory>
  /** Scans anew. Scans that overlap are one. */
  rescan(): Promise<Inventory>
  /** Called with the result of every scan from now on. */
  onScan(listener: (inventory: Inventory) => void): void
}

export function createDeviceFinder(options: InventoryOptions): DeviceFinder {
  const knownIds = new Map<string, string>()
  let last: Promise<Inventory> | undefined
  let running: Promise<Inventory> | undefined
  const listeners: ((inventory: Inventory) => void)[] = []

  async function scan(): Promise<Inventory> {
    const { system, factsOf, cpuParts = [{ kind: 'whole' }] } = options
    const results = await Promise.all(options.probes.map((probe) => safely(probe, system)))
    const { devices, links } = mergeReadings(results, { env: system.env, factsOf, knownIds })
    for (const { id, pciAddress, kind } of devices) {
      if (pciAddress !== undefined && kind !== 'partition') knownIds.set(pciAddress, id)
    }
    const cpu = readCpu(system)
    const inventory = {
      devices: [...devices, ...cpuDevices(cpu, cpuParts)],
      links,
      cpu,
      problems: [...new Set(results.flatMap(({ problems }) => problems))],
    }
    for (const listener of listeners) listener(inventory)
    return inventory
  }

  function rescan(): Promise<Inventory> {
    running ??= scan().finally(() => {
      running = undefined
    })
    last = running
    return running
  }

  return {
    rescan,
    find: () => last ?? rescan(),
    onScan: (listener) => {
      listeners.push(listener)
    },
  }
}

/** A probe promises not to throw; one that does anyway must not take the others' devices away. */
async function safely(probe: DeviceProbe, system: HostSystem): Promise<ProbeResult> {
  try {
    return await probe.list(system)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const problems = [`the probe for ${probe.vendor} devices failed: ${reason}`]
    return { vendor: probe.vendor, devices: [], links: [], places: [], problems }
  }
}
