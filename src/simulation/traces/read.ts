import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { readAzure } from './azure.ts'
import { readBurstGpt } from './burstgpt.ts'
import type { ReadOptions, Trace, TraceFormat, TraceReader } from './contract.ts'
import { readDroverLog } from './drover-log.ts'
import { LineError, linesOf } from './lines.ts'
import { readMooncake } from './mooncake.ts'
import { readServeGen } from './servegen.ts'

const readers: Readonly<Record<TraceFormat, TraceReader>> = {
  mooncake: readMooncake,
  azure: readAzure,
  burstgpt: readBurstGpt,
  servegen: readServeGen,
  drover: readDroverLog,
}

/** What the first line of each format has and no other's. */
const marks: readonly [RegExp, TraceFormat][] = [
  [/"hash_ids"|"input_length"/, 'mooncake'],
  [/"promptTokens"/, 'drover'],
  [/"day2_windows"/, 'servegen'],
  [/ContextTokens/i, 'azure'],
  [/Request tokens/i, 'burstgpt'],
]

/**
 * Reads a trace, line by line, in the given format or in the one that its first line shows. Times count from the
 * first request.
 *
 * @throws Error that names the file, and the line where there is one.
 */
export async function readTrace(
  path: string,
  { format = 'auto', ...options }: ReadOptions & { format?: TraceFormat | 'auto' } = {},
): Promise<Trace> {
  if (!existsSync(path)) throw new Error(`${path}: there is no such file`)
  const known = format === 'auto' ? await formatOf(path) : format
  try {
    const raw = await readers[known](linesOf(path), options)
    if (raw.requests.length === 0) throw new Error('there are no requests in it')
    const requests = raw.requests.toSorted((a, b) => a.atMs - b.atMs)
    const firstMs = requests[0]?.atMs ?? 0
    return {
      ...raw,
      name: basename(path),
      format: known,
      requests: requests.map((request) => ({ ...request, atMs: request.atMs - firstMs })),
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const place = error instanceof LineError ? `${path}, ` : `${path}: `
    throw new Error(place + error.message, { cause: error })
  }
}

async function formatOf(path: string): Promise<TraceFormat> {
  for await (const { text } of linesOf(path)) {
    const found = marks.find(([mark]) => mark.test(text))
    if (found) return found[1]
    break
  }
  const names = Object.keys(readers).join(', ')
  throw new Error(
    `${path}: its first line is of no format that Drover knows; say which it is by --format (${names})`,
  )
}
