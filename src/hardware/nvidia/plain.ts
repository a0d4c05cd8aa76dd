import type { OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { runtimeOf, versionOf } from './card.ts'

const version = 'nvidia-smi --version'

const valueIn = (text: string, names: readonly string[]): string | undefined =>
  names
    .map((name) => new RegExp(`^${name}\\s*:\\s*(\\d\\S*)`, 'im').exec(text)?.[1])
    .find((value) => value !== undefined)

/** `nvidia-smi --version`: no card is in it, only what the driver is. */
export const versionReader: OutputReader = {
  tool: version,
  matches: (text) => /^NVIDIA-SMI version\s*:/im.test(text),
  read(text) {
    const driver = versionOf(valueIn(text, ['KMD version', 'DRIVER version']))
    const runtime = runtimeOf(valueIn(text, ['CUDA UMD version', 'CUDA version']))
    if (driver === undefined) return refused(`${version}: no driver version is in it`)
    return readingOf(version, { notes: [`driver ${driver}${runtime === undefined ? '' : `, ${runtime}`}`] })
  },
}

/** Texts that are NVIDIA's and say nothing of a card: known, and refused by name. */
export const uselessReaders: readonly OutputReader[] = [
  {
    tool: 'nvidia-smi --help-query',
    matches: (text) => /list of valid properties to query/i.test(text.slice(0, 2000)),
    read: () =>
      refused('nvidia-smi --help-query-…: this is the list of fields that may be asked, not an answer'),
  },
  {
    tool: 'nv-fabricmanager log',
    matches: (text) => /^\[[^\]]+\] \[(INFO|WARNING|ERROR|DEBUG)\] \[tid \d+\]/m.test(text.slice(0, 20_000)),
    read: () =>
      refused("nv-fabricmanager: its log tells of the fabric's routes, and no card's state is in it"),
  },
]
