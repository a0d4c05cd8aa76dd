/** Texts of Intel's tools that tell of no card: versions, board controllers, help, confirmations, errors. */
import type { OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { keyAndValue, tableLines } from './table.ts'

/** `xpu-smi -v`: told as a note. */
const versionReader: OutputReader = {
  tool: 'xpu-smi -v',
  matches: (text) => /^[ \t]*CLI:\s*\r?\n\s+Version:/m.test(text),
  read(text) {
    const [, version] = /CLI:\s*\r?\n\s+Version:\s*(\S+)/.exec(text) ?? []
    const [, levelZero] = /Level Zero Version:\s*(\S+)/.exec(text) ?? []
    if (version === undefined) return refused('no version stands below "CLI:"')
    const runtime = levelZero === undefined ? 'Level Zero is not told' : `Level Zero ${levelZero}`
    return readingOf(this.tool, { notes: [`xpu-smi ${version}, ${runtime}`] })
  },
}

/** `xpu-smi discovery --listamcversions`: the firmware of the boards' controllers, which belong to no one card. */
const controllerVersionReader: OutputReader = {
  tool: 'xpu-smi discovery --listamcversions',
  matches: (text) => /^[ \t]*\d+ AMC are found/m.test(text),
  read(text) {
    const notes = text.split(/\r?\n/).flatMap((line) => line.match(/AMC \d+ firmware version: \S+/) ?? [])
    return readingOf(this.tool, { notes })
  },
}

/**
 * `xpumcli amcsensor`: what the controller of a board measures. A board carries one or two GPUs and the text does not
 * say which, so the figures are told as notes.
 */
const controllerSensorReader: OutputReader = {
  tool: 'xpumcli amcsensor',
  matches: (text) => /^[ \t]*\|\s*AMC ID\s*\|\s*Sensors\s*\|/m.test(text),
  read(text) {
    const notes: string[] = []
    let controller = 'AMC'
    for (const cells of tableLines(text)) {
      const [id = '', line = ''] = cells ?? []
      if (/^AMC \d+$/.test(id)) controller = id
      const told = keyAndValue(line)
      const [, name = '', unit = ''] = /^(.+?)\s*\(([^)]+)\)$/.exec(told?.key ?? '') ?? []
      if (told && name !== '') notes.push(`${controller}: ${name} ${told.value} ${unit}`)
    }
    return readingOf(this.tool, { notes })
  },
}

interface Refusal {
  pattern: RegExp
  why: (match: RegExpExecArray) => string
}

const refusals: readonly Refusal[] = [
  {
    pattern: /^# [^\n]*(?:intel_gpu_top|xpu-smi|sysfs of Intel)/,
    why: () => 'this describes an output in words and is none',
  },
  {
    pattern: /^[ \t]*Usage:\s*((?:xpu-smi|xpumcli)(?: [a-z]+)?)/m,
    why: ([, command]) => `this is the help of ${command}, not an output of it`,
  },
  {
    pattern: /^[ \t]*(?:Return: )?Succe(?:ed|ssfully) .*(?:change|enabled|disabled).*$/m,
    why: ([line]) => `xpu-smi confirms a setting and tells no state: ${line.trim()}`,
  },
  {
    pattern: /(?:system topology is generated to the file|Export topology to)\s+(\S+?)\.?\s/,
    why: ([, file]) => `the topology was written to ${file}: read that file`,
  },
  {
    pattern: /^[ \t]*Dump(?:ing)? (?:data|stats) to file (\S+?)\.\s/m,
    why: ([, file]) => `the measurements were written to ${file}: read that file`,
  },
  {
    pattern: /Failed to initialize PMU/i,
    why: () =>
      'intel_gpu_top may not read the counters: run it as root, or "sudo setcap cap_perfmon=+ep $(which intel_gpu_top)"',
  },
  {
    pattern:
      /No device filter specified and no (?:discrete\/integrated|discrete or integrated) i915 devices found/i,
    why: () => 'intel_gpu_top reads cards of the driver i915 only, and there is none (xe is another driver)',
  },
  {
    pattern: /^[ \t]*Error:\s*(.*(?:device|level.?zero|xpum|service|GPU).*)$/im,
    why: ([, words = '']) => `xpu-smi: ${words.trim()}`,
  },
  {
    pattern: /^\s*\{\s*"(?:errno|error)"\s*:[^{}]*\}\s*$/,
    why: ([json]) => `xpu-smi: ${/"error"\s*:\s*"([^"]*)"/.exec(json)?.[1] ?? 'an error'}`,
  },
  {
    pattern: /\d+ C package\b.*\bVRAM\b.*throttle reasons/i,
    why: () => 'a sentence about a card: no path tells which card was read',
  },
]

const find = (text: string) => {
  const head = text.slice(0, 20_000)
  for (const { pattern, why } of refusals) {
    const match = pattern.exec(head)
    if (match) return why(match)
  }
  return undefined
}

const refuser: OutputReader = {
  tool: 'xpu-smi (message)',
  matches: (text) => find(text) !== undefined,
  read: (text) => refused(find(text) ?? 'no message of an Intel tool is in this text'),
}

/** What xpu-smi says without telling of a card; the last of them refuses. */
export const messageReaders: readonly OutputReader[] = [
  versionReader,
  controllerVersionReader,
  controllerSensorReader,
  refuser,
]
