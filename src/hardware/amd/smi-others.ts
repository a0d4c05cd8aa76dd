import type { DeviceReading, OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { isUnavailable, numberOf, textOf } from '../units.ts'
import { columnOf, readRows } from './columns.ts'
import { cutsCard } from './identity.ts'
import { amdReading } from './shape.ts'
import { jsonOf, treesOf } from './tree.ts'

/** `amd-smi partition`: which mode each card is in. */
export const partitionReader: OutputReader = {
  tool: 'amd-smi partition',
  matches: (text) => /^(ACCELERATOR_PARTITION_\w+|CURRENT_PARTITION|MEMORY_PARTITION):\s*$/m.test(text),
  read(text) {
    const devices = readRows(text, 'GPU_ID').rows.flatMap((row): DeviceReading[] => {
      const index = numberOf(columnOf(row, 'GPU_ID'))
      const mode = columnOf(row, 'ACCELERATOR_TYPE')?.replace(/\*$/, '')
      if (index === undefined) return []
      const cut = cutsCard(mode)
      const kind = cut ? ('partition' as const) : undefined
      const partitionProfile = cut ? mode.toUpperCase() : undefined
      return [amdReading('amd-smi partition', { index, kind, partitionProfile })]
    })
    const notes = /requires sudo/.test(text)
      ? ['the profiles are told to root only: run "sudo amd-smi partition" to see them']
      : []
    if (devices.length === 0 && notes.length === 0) return refused('no card is in it')
    return readingOf('amd-smi partition', { devices, notes })
  },
}

/** `amd-smi version`, as text or JSON: versions as notes, for no card is told of. */
export const versionReader: OutputReader = {
  tool: 'amd-smi version',
  matches: (text) => /AMDSMI Tool: |"amdsmi_library_version"/.test(text),
  read(text) {
    const json = jsonOf(text)
    const pairs = json ? treesOf(json).flatMap((one) => Object.entries(one)) : pairsOf(text)
    const notes = pairs.flatMap(([name, value]) =>
      typeof value !== 'string' || isUnavailable(value) ? [] : [`${name}: ${value}`],
    )
    return notes.length > 0 ? readingOf('amd-smi version', { notes }) : refused('no version is in it')
  },
}

/** `AMDSMI Tool: 23.4 | ROCm version: 6.1.0`. */
function pairsOf(text: string): [string, string][] {
  return text.split('|').map((part) => {
    const colon = part.indexOf(':')
    return [part.slice(0, colon).trim(), part.slice(colon + 1).trim()]
  })
}

/** `amd-smi ras --cper`: faults that the driver recorded, as notes on their cards. */
export const rasReader: OutputReader = {
  tool: 'amd-smi ras --cper',
  matches: (text) => /^Dumping CPER file header entries for GPU \d+/m.test(text),
  read(text) {
    const devices: DeviceReading[] = []
    const notes: string[] = []
    for (const part of text.split(/^Dumping CPER file header entries for GPU /m).slice(1)) {
      const index = Number.parseInt(part, 10)
      if (!Number.isSafeInteger(index)) continue
      devices.push(amdReading('amd-smi ras', { index }))
      for (const [, severity] of part.matchAll(/"error_severity":\s*"([^"]+)"/g)) {
        const when = textOf(/"timestamp":\s*"([^"]+)"/.exec(part)?.[1])
        notes.push(`GPU ${index}: ${severity}${when === undefined ? '' : ` at ${when}`}`)
      }
    }
    return readingOf('amd-smi ras --cper', { devices, notes })
  },
}

/** Texts of AMD's tools and driver that hold nothing of use, each with why. */
const nothing: readonly (readonly [tool: string, pattern: RegExp, reason: string])[] = [
  ['amd-smi --help', /^usage: amd-smi /m, 'this is the help of amd-smi: run one of its commands'],
  [
    'amdgpu_firmware_info',
    /feature version: \d+, firmware version: 0x/,
    'these are versions of firmware: no figure of a card is among them',
  ],
]

export const nothingReaders: readonly OutputReader[] = nothing.map(([tool, pattern, reason]) => ({
  tool,
  matches: (text) => pattern.test(text),
  read: () => refused(reason),
}))
