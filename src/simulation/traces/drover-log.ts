import { z } from 'zod'
import { addAnswers } from './answers.ts'
import type { TraceReader, TraceRequest } from './contract.ts'
import { LineError, parseLine } from './lines.ts'

const shape = z.object({
  /** When the request came. */
  time: z.iso.datetime({ offset: true }),
  model: z.string().optional(),
  tenant: z.string().optional(),
  promptTokens: z.int().min(0),
  outputTokens: z.int().min(0),
  /** Chained hashes of the prompt's whole blocks. */
  blocks: z.array(z.int()).optional(),
  blockTokens: z.number().positive().optional(),
})

/** Drover's own request log: a JSON object a line, as it was written, in any order of time. */
export const readDroverLog: TraceReader = async (lines, { requests = Number.POSITIVE_INFINITY }) => {
  const read: TraceRequest[] = []
  let blockTokens = 0
  for await (const line of lines) {
    if (read.length >= requests) break
    const row = parseLine(line, shape)
    if (row.blocks && row.blocks.length > 0) {
      if (row.blockTokens === undefined) throw new LineError(line, 'it has "blocks" without "blockTokens"')
      if (blockTokens > 0 && row.blockTokens !== blockTokens) {
        throw new LineError(line, `its blocks have ${row.blockTokens} tokens, those before it ${blockTokens}`)
      }
      blockTokens = row.blockTokens
    }
    read.push({
      atMs: Date.parse(row.time),
      promptTokens: row.promptTokens,
      outputTokens: row.outputTokens,
      hashes: row.blocks ?? [],
      tenant: row.tenant ?? 'default',
      ...(row.model !== undefined && { model: row.model }),
    })
  }
  read.sort((a, b) => a.atMs - b.atMs)
  const cut = read.map((request) => ({
    ...request,
    hashes: blockTokens > 0 ? request.hashes.slice(0, Math.floor(request.promptTokens / blockTokens)) : [],
  }))
  return { blockTokens, bucketMs: 0, requests: addAnswers(cut, blockTokens) }
}
