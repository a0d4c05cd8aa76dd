import type { DeviceProcess, DeviceReading, OutputReader, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { numberOf, present, textOf } from '../units.ts'
import { errorIn, type Fields, fieldsOf, listOf, parseJson, textIn } from './json.ts'

/** A process on a card. */
interface Line {
  device: number
  process: DeviceProcess
}

/** The table is 80 columns wide; a command may be longer, but not so long. */
const longestLine = 1000

/** The tool's kB is 1000 bytes: 1920 KiB are printed as 1966. */
const kilobyte = 1000

function lineOf(device?: string, pid?: string, name?: string, memory?: string): Line[] {
  const [deviceId, processId, kilobytes] = [device, pid, memory].map(numberOf)
  if (deviceId === undefined || processId === undefined || processId <= 0) return []
  const memoryBytes = kilobytes === undefined || kilobytes < 0 ? undefined : kilobytes * kilobyte
  return [{ device: deviceId, process: present({ pid: processId, name: textOf(name), memoryBytes }) }]
}

function byCard(tool: string, lines: readonly Line[]): ReadResult {
  const cards = new Map<number, DeviceProcess[]>()
  for (const { device, process } of lines) cards.set(device, [...(cards.get(device) ?? []), process])
  const devices = [...cards].map(
    ([index, processes]): DeviceReading => ({
      vendor: 'intel',
      source: 'xpu-smi',
      index,
      sensors: { processes },
    }),
  )
  return readingOf(tool, { devices, notes: lines.length > 0 ? [] : ['no process uses a card'] })
}

const header = /^[ \t]*PID\s+Command\s+DeviceID\s+SHR\s+MEM\b/m

function readTable(text: string): ReadResult {
  const lines = text.split(/\r?\n/).flatMap((line) => {
    if (line.length > longestLine) return []
    const [, pid, name, device, , memory] = /^\s*(\d+)\s+(\S.*?)\s+(\d+)\s+(\d+)\s+(\d+)\s*$/.exec(line) ?? []
    return lineOf(device, pid, name, memory)
  })
  return byCard('xpu-smi ps', lines)
}

/** `xpu-smi ps` as a table. */
export const psTableReader: OutputReader = {
  tool: 'xpu-smi ps',
  matches: (text) => header.test(text),
  read: (text) =>
    header.test(text) ? readTable(text) : refused('no line names the columns PID, Command and DeviceID'),
}

function readJson(text: string): ReadResult {
  const json = fieldsOf(parseJson(text))
  if (json === undefined) return refused('the JSON is cut short')
  const error = errorIn(json)
  if (error !== undefined) return refused(`xpu-smi: ${error}`)
  const entry = (fields: Fields) =>
    lineOf(
      textIn(fields, 'device_id'),
      textIn(fields, 'process_id'),
      textIn(fields, 'process_name'),
      textIn(fields, 'mem_size'),
    )
  return byCard('xpu-smi ps -j', listOf(json['device_util_by_proc_list']).flatMap(entry))
}

/** `xpu-smi ps -j`. */
export const psJsonReader: OutputReader = {
  tool: 'xpu-smi ps -j',
  matches: (text) => /^\s*\{/.test(text) && /"device_util_by_proc_list"\s*:/.test(text),
  read: readJson,
}
