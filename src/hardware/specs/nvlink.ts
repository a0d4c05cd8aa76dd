import { versionOf } from './supports.ts'

/**
 * NVLink's generation on cards of a compute capability: 1 Pascal, 2 Volta and Turing, 3 Ampere, 4 Hopper, 5 Blackwell.
 * Undefined for others.
 */
export function nvlinkGeneration(computeCapability: string): number | undefined {
  const version = versionOf(computeCapability)
  if (version === undefined || version < 60 || version >= 120) return undefined
  if (version < 70) return 1
  if (version < 80) return 2
  if (version < 90) return 3
  return version < 100 ? 4 : 5
}

/** 10^9 bytes a second each way of one NVLink link; GA10x boards (compute capability 8.6) run theirs at 14.0625. */
export function nvlinkGbPerSecond(computeCapability: string): number | undefined {
  const generation = nvlinkGeneration(computeCapability)
  if (generation === undefined) return undefined
  if (versionOf(computeCapability) === 86) return 14.0625
  return { 1: 20, 2: 25, 3: 25, 4: 25, 5: 50 }[generation]
}
