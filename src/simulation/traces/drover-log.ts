import { z } from 'zod'
import { addAnswers } from './answers.ts'
import type { TraceReader, TraceRequest } from './contract.ts'
import { LineError, parseLine } from './lines.ts'

const shape = z.object({
  /** When the answer had ended. */
  time: z.iso.datetime({ offset: true }),
  /** From its arrival until then. */
  totalMs: z.number().min(0).default(0),
  model: z.string().optional(),
  tenant: z.string().optional(),
  promptTokens: z.int().min(0),
  outputTokens: z.int().min(0),
  /** Chained hashes of the prompt's whole blocks. */
  blocks: z.array(z.int()).optional(),
  /** An estimate where blocks are cut from text; it moves a little from line to line. */
  blockTokens: z.number().positive().optional(),
})

/**
 * Drover's own request log: a JSON object a line, in any order. Requests came `totalMs` before the time of their line.
 * Blocks have as many tokens as the lines' estimates on average.
 */
export const readDroverLog: TraceReader = async (lines, { requests = Number.POSITIVE_INFINITY }) => {
  const read: TraceRequest[] = []
  let blocks = 0
  let tokens = 0
  for await (const line of lines) {
    if (read.length >= requests) break
    const row = parseLine(line, shape)
    if (row.blocks && row.blocks.length > 0) {
      if (row.blockTokens === undefined) throw new LineError(line, 'it has "blocks" without "blockTokens"')
      blocks += row.blocks.length
      tokens += row.blocks.length * row.blockTokens
    }
    read.push({
      atMs: Date.parse(row.time) - row.totalMs,
      promptTokens: row.promptTokens,
      outputTokens: row.outputTokens,
      hashes: row.blocks ?? [],
      tenant: row.tenant || 'default',
      ...(row.model !== undefined && { model: row.model }),
    })
  }
  read.sort((a, b) => a.atMs - b.atMs)
  const blockTokens = blocks > 0 ? Math.max(1, Math.round(tokens / blocks)) : 0
  const whole = read.map((request) => ({
    ...request,
    hashes: blockTokens > 0 ? request.hashes.slice(0, Math.floor(request.promptTokens / blockTokens)) : [],
  }))
  return { blockTokens, bucketMs: 0, requests: addAnswers(whole, blockTokens) }
}
