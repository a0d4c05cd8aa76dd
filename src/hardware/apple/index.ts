import type { OutputReader } from '../contract.ts'
import { ioregReader } from './ioreg.ts'
import { pmsetReader } from './pmset.ts'
import { powermetricsReader } from './powermetrics.ts'
import { systemProfilerReader } from './system-profiler.ts'

export { appleProbe } from './probe.ts'

/** Readers of what macOS tells of its GPUs, the most specific first. */
export const appleReaders: readonly OutputReader[] = [
  systemProfilerReader,
  ioregReader,
  powermetricsReader,
  pmsetReader,
]
