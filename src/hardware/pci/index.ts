import type { OutputReader } from '../contract.ts'
import { hwlocReader } from './hwloc.ts'
import { lspciReader, lspciVerboseReader } from './lspci.ts'
import { lspciLinesReader, lspciRecordsReader } from './lspci-machine.ts'
import { lstopoTextReader } from './lstopo-text.ts'
import { sysfsReader } from './sysfs.ts'

export { linkClassOf, pciPath } from './path.ts'
export { pciProbe } from './probe.ts'

/** Readers of what tells the PCI bus, the most specific first. */
export const pciReaders: readonly OutputReader[] = [
  sysfsReader,
  hwlocReader,
  lspciRecordsReader,
  lspciLinesReader,
  lstopoTextReader,
  lspciVerboseReader,
  lspciReader,
]
