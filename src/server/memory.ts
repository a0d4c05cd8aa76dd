import type { EngineDevice } from '../engines/index.ts'
import { readHost } from '../hardware/index.ts'
import type { MemoryFacts } from '../routing/index.ts'

/** Share of the machine's memory that models may take; the rest is the system's and Drover's own. */
const modelShare = 0.9

/**
 * Memory for models: the configured limit, or most of the host's memory and all that the devices have, less what is to
 * be left free on each.
 */
export function createMemoryReader(
  configuredLimitBytes: number | undefined,
  gpuOverheadBytes: number,
  devices: () => readonly EngineDevice[],
): () => MemoryFacts {
  const usable = (bytes: number) => Math.max(0, bytes - gpuOverheadBytes)
  return () => {
    const host = readHost()
    const deviceTotal = sum(devices().map((device) => usable(device.totalBytes)))
    const deviceFree = sum(devices().map((device) => usable(device.freeBytes)))
    const limitBytes = configuredLimitBytes ?? host.totalMemoryBytes * modelShare + deviceTotal
    return { limitBytes, availableBytes: host.availableMemoryBytes + deviceFree }
  }
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
