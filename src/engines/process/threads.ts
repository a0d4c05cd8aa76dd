import { readHost } from '../../hardware/index.ts'

/**
 * How many CPU threads an instance takes by default: one fewer than the physical cores that this process may
 * use, at least one. llama.cpp's threads wait for each other by spinning, so one that has to share its core
 * (with a hyper-thread, or with Drover itself) slows all the others many times over.
 */
export function defaultThreads(): number {
  return Math.max(1, readHost().physicalCores - 1)
}
