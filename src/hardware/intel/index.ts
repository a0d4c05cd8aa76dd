import type { OutputReader } from '../contract.ts'
import { configJsonReader, configTableReader } from './config.ts'
import { discoveryReader } from './discovery.ts'
import { dumpReader } from './dump.ts'
import { gpuTopJsonReader, gpuTopTextReader } from './gpu-top.ts'
import { healthJsonReader, healthTableReader } from './health.ts'
import { messageReaders } from './messages.ts'
import { psJsonReader, psTableReader } from './ps.ts'
import { statsJsonReader, statsTableReader } from './stats.ts'
import { drmReader } from './sysfs.ts'
import { topologyJsonReader, topologyMatrixReader, topologyTableReader } from './topology.ts'

export { intelProbe } from './probe.ts'

/** Readers of what Intel's tools print and of recorded kernel folders, the most specific first. */
export const intelReaders: readonly OutputReader[] = [
  drmReader,
  gpuTopJsonReader,
  gpuTopTextReader,
  healthJsonReader,
  healthTableReader,
  psJsonReader,
  psTableReader,
  topologyJsonReader,
  topologyTableReader,
  topologyMatrixReader,
  configJsonReader,
  configTableReader,
  statsJsonReader,
  statsTableReader,
  dumpReader,
  discoveryReader,
  ...messageReaders,
]
