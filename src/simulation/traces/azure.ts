import type { Line, TraceReader, TraceRequest } from './contract.ts'
import { csvRows, figure, LineError } from './lines.ts'

/**
 * Azure's LLM inference traces of 2023 (`2023-11-16 18:17:03.9799600`) and 2024 (`2024-05-10 00:00:00.009930+00:00`,
 * the fraction sometimes absent): `TIMESTAMP,ContextTokens,GeneratedTokens`. A column `service`, where somebody put
 * both services into one file, becomes the tenant. There are no blocks: prompts share nothing.
 */
export const readAzure: TraceReader = async (lines, { requests = Number.POSITIVE_INFINITY }) => {
  const read: TraceRequest[] = []
  for await (const { line, cell } of csvRows(lines, ['TIMESTAMP', 'ContextTokens', 'GeneratedTokens'])) {
    if (read.length >= requests) break
    read.push({
      atMs: timeOf(line, cell('TIMESTAMP')),
      promptTokens: figure(line, 'ContextTokens', cell('ContextTokens')),
      outputTokens: figure(line, 'GeneratedTokens', cell('GeneratedTokens')),
      hashes: [],
      tenant: cell('service') || 'default',
    })
  }
  return { blockTokens: 0, bucketMs: 0, requests: read }
}

function timeOf(line: Line, text: string): number {
  const [, date, time, fraction = '', zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? []
  const seconds = Date.parse(`${date}T${time}${zone}`)
  if (Number.isNaN(seconds))
    throw new LineError(line, `"${text}" is no time such as 2023-11-16 18:17:03.9799600`)
  return seconds + Number(`0${fraction}`) * 1000
}
