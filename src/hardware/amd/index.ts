import type { OutputReader } from '../contract.ts'
import { amdgpuTopReader } from './amdgpu-top.ts'

import { recordedKfdReader, recordedSysfsReader } from './recorded.ts'
import { rocmCsvReader, rocmJsonReader, rocmTextReader } from './rocm-smi.ts'
import { deviceQueryReader, rocminfoReader } from './runtime.ts'
import { smiJsonReader, smiReportReader } from './smi.ts'
import { monitorReader } from './smi-monitor.ts'
import { nothingReaders, partitionReader, rasReader, versionReader } from './smi-others.ts'
import { tableReader } from './smi-table.ts'
import { topologyJsonReader, topologyTextReader, xgmiTextReader } from './smi-topology.ts'

export { amdProbe } from './probe.ts'

/** Readers of what AMD's tools print, the most specific first. */
export const amdReaders: readonly OutputReader[] = [
  recordedKfdReader,
  recordedSysfsReader,
  amdgpuTopReader,
  rocminfoReader,
  deviceQueryReader,
  versionReader,
  rasReader,
  tableReader,
  partitionReader,
  topologyTextReader,
  xgmiTextReader,
  topologyJsonReader,
  rocmJsonReader,
  rocmCsvReader,
  rocmTextReader,
  smiJsonReader,
  smiReportReader,
  monitorReader,
  ...nothingReaders,
]
