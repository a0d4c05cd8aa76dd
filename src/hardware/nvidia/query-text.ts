import type { OutputReader, ReadResult } from '../contract.ts'
import { type Entry, keyOf } from './cells.ts'
import { readReport } from './report.ts'

const tool = 'nvidia-smi -q'

/** `nvidia-smi -q` (once `-a`), whole or a part of it (`-d ECC`, `-d PAGE_RETIREMENT`). */
export const textReader: OutputReader = {
  tool,
  matches: (text) => /^=+\s*NVSMI LOG\s*=+$/m.test(text) || /^GPU [0-9a-f]{4,8}:[0-9a-f]{2}:/im.test(text),
  read: readText,
}

const gpuLine = /^GPU\s+([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\s*$/i

function readText(text: string): ReadResult {
  const head: Entry[] = []
  const gpus: Entry[] = []
  /** The open entries, outermost first, each with how far its line was set in. */
  let open: { indent: number; children: Entry[] }[] = [{ indent: -1, children: head }]
  for (const line of text.split(/\r?\n/)) {
    const id = gpuLine.exec(line)?.[1]
    if (id !== undefined) {
      const gpu: Entry = { key: 'gpu', value: id, children: [] }
      gpus.push(gpu)
      open = [{ indent: 0, children: gpu.children }]
      continue
    }
    const entry = entryOf(line)
    if (entry === undefined) continue
    const indent = line.length - line.trimStart().length
    while (open.length > 1 && (open.at(-1)?.indent ?? 0) >= indent) open.pop()
    open.at(-1)?.children.push(entry)
    open.push({ indent, children: entry.children })
  }
  return readReport(tool, head, gpus, text)
}

/** `Name : value`, or `Name` alone above what belongs to it. */
function entryOf(line: string): Entry | undefined {
  const text = line.trim()
  if (text === '' || /^[=#+|]/.test(text)) return undefined
  const colon = /\s*:(\s|$)/.exec(text)
  const name = colon === null ? text : text.slice(0, colon.index)
  const key = keyOf(name)
  if (key === '') return undefined
  return {
    key,
    value: colon === null ? '' : text.slice(colon.index + colon[0].length).trim(),
    children: [],
  }
}
