import type { TraceReader, TraceRequest } from './contract.ts'
import { csvRows, figure } from './lines.ts'

/**
 * BurstGPT's traces: `Timestamp` in whole seconds, `Model`, `Request tokens`, `Response tokens`, by the names of the
 * columns (the third file has two more). Rows without an answer are failures and are left out. No blocks.
 */
export const readBurstGpt: TraceReader = async (lines, { requests = Number.POSITIVE_INFINITY }) => {
  const read: TraceRequest[] = []
  let wholeSeconds = true
  for await (const { line, cell } of csvRows(lines, ['Timestamp', 'Request tokens', 'Response tokens'])) {
    if (read.length >= requests) break
    const seconds = figure(line, 'Timestamp', cell('Timestamp'))
    const outputTokens = figure(line, 'Response tokens', cell('Response tokens'))
    if (outputTokens === 0) continue
    wholeSeconds &&= Number.isInteger(seconds)
    read.push({
      atMs: seconds * 1000,
      promptTokens: figure(line, 'Request tokens', cell('Request tokens')),
      outputTokens,
      hashes: [],
      tenant: cell('Log Type') || 'default',
      ...(cell('Model') !== '' && { model: cell('Model') }),
    })
  }
  return { blockTokens: 0, bucketMs: wholeSeconds ? 1000 : 0, requests: read }
}
