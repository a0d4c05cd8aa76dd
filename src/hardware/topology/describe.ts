import type { Device, Topology } from '../contract.ts'
import { memoryText, partsOf } from './labels.ts'
import { isSlow, pcieText, runningPcie } from './pcie.ts'

/** What a drawing says of a device, each as a short text, absent where there is nothing to say. */
export interface Description {
  name: string
  memory?: string
  /** Cores of a CPU device. */
  cores?: string
  /** `PCIe 4.0 x16`, or that it works on the host's memory. */
  link?: string
  /** The PCIe link has fewer lanes or less speed than it could. */
  slow: boolean
  /** `lost`, `hidden`, ... */
  state?: string
  /** `7 x MIG 1g.10gb`. */
  parts?: string
}

export function describeDevice(device: Device, topology: Topology): Description {
  const pcie = device.kind === 'cpu' || device.unifiedMemory ? undefined : runningPcie(device)
  const parts = partsText(partsOf(device, topology))
  const { cores, memoryTotalBytes, unifiedMemory } = device
  return {
    name: device.name,
    ...(memoryTotalBytes > 0 && { memory: memoryText(memoryTotalBytes) }),
    ...(device.kind === 'cpu' &&
      cores && { cores: `${cores.length} ${cores.length === 1 ? 'core' : 'cores'}` }),
    ...(pcie && { link: pcieText(pcie) }),
    ...(unifiedMemory && { link: 'unified memory' }),
    slow: pcie !== undefined && isSlow(pcie),
    ...(device.state !== 'ok' && { state: device.state.replace('_', ' ') }),
    ...(parts !== '' && { parts }),
  }
}

function partsText(parts: readonly Device[]): string {
  const byProfile = Map.groupBy(parts, (part) => {
    const profile = part.partitionProfile ?? 'partition'
    return part.vendor === 'nvidia' ? `MIG ${profile}` : profile
  })
  return [...byProfile].map(([profile, alike]) => `${alike.length} x ${profile}`).join(', ')
}
