import type { OutputReader } from '../contract.ts'
import { deviceQueryReader } from './device-query.ts'
import { kernelLogReader } from './kernel-log.ts'
import { listReader } from './list.ts'
import { messageReader } from './messages.ts'
import { dmonReader, pmonReader } from './monitor.ts'
import { nvlinkReader } from './nvlink.ts'
import { uselessReaders, versionReader } from './plain.ts'
import { procReader } from './proc.ts'
import { processCsvReaders } from './process-csv.ts'
import { headerlessReader, queryReader } from './query-csv.ts'
import { textReader } from './query-text.ts'
import { xmlReader } from './query-xml.ts'
import { tableReader } from './table.ts'
import { topoReader } from './topo.ts'

/** Readers of all that NVIDIA's tools and driver print, most specific first: the first that matches reads. */
export const nvidiaReaders: readonly OutputReader[] = [
  xmlReader,
  textReader,
  tableReader,
  ...uselessReaders,
  deviceQueryReader,
  topoReader,
  pmonReader,
  dmonReader,
  versionReader,
  ...processCsvReaders,
  queryReader,
  nvlinkReader,
  listReader,
  procReader,
  kernelLogReader,
  messageReader,
  headerlessReader,
]
