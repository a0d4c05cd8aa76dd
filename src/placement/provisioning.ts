import type { WorkerDevice } from './worker-devices.ts'

const gib = 2 ** 30

/** Different models on one device at once, where memory allows: Ollama's rule. */
export const modelsPerDevice = 3

/**
 * Copies of one model that a device may hold when nobody says how many, by its memory: up to 8 GB one, up to 16 GB
 * two, up to 24 GB three, beyond four. A rule of thumb: on the way to it each copy has to fit truly. A CPU's cores are
 * all taken by one copy.
 */
export function replicasPerDevice({ kind, memoryTotalBytes, settings }: WorkerDevice): number {
  if (settings.instances !== undefined) return settings.instances
  if (kind !== 'gpu') return 1
  // Cards tell a few per cent less than what they are sold with.
  const nominalGib = (memoryTotalBytes / gib) * 1.07
  if (nominalGib < 16) return 1
  if (nominalGib < 24) return 2
  return nominalGib < 32 ? 3 : 4
}

/** Instances of whatever model that a device may hold. */
export function instancesPerDevice(worker: WorkerDevice): number {
  if (worker.kind === 'server') return Number.POSITIVE_INFINITY
  return worker.settings.instances ?? Math.max(modelsPerDevice, replicasPerDevice(worker))
}

/** Memory of a device that models may take: what is set, or all of it less what is to be left free. */
export function usableBytes(worker: WorkerDevice, overheadBytes: number): number {
  const { memoryLimitBytes, reserveBytes = 0 } = worker.settings
  const left = worker.memoryTotalBytes - reserveBytes - (worker.kind === 'gpu' ? overheadBytes : 0)
  // Of the host's memory some is the system's and Drover's own.
  const most = worker.kind === 'cpu' ? left * hostShare : left
  return Math.max(0, Math.min(most, memoryLimitBytes ?? Number.POSITIVE_INFINITY))
}

const hostShare = 0.9
