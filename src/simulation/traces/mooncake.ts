import { z } from 'zod'
import { addAnswers } from './answers.ts'
import type { Line, TraceReader, TraceRequest } from './contract.ts'
import { LineError, parseLine } from './lines.ts'

const shape = z.object({
  timestamp: z.number().min(0),
  input_length: z.int().min(0),
  output_length: z.int().min(0),
  hash_ids: z.array(z.int()).default([]),
  /** Of a conversation: in Qwen's traces, which have the same form but for times in seconds. */
  chat_id: z.unknown().optional(),
})

type Row = z.infer<typeof shape>

/** Mooncake's own timestamps lie on this grid, a millisecond off it now and then. */
const gridMs = 3000
const offGridMs = 1
/** So many of them on the grid are no accident. */
const shareOnGrid = 0.99

/**
 * Mooncake's traces (FAST'25): a JSON object a line, `timestamp` in milliseconds, `hash_ids` chained blocks of the
 * prompt, of 512 tokens there. The same form with other sizes of block is known too: the size is the one that the
 * number of blocks agrees with, an incomplete last block listed or not. Mooncake writes times down to 3 s.
 *
 * Those of Qwen on Bailian (`qwen-bailian-usagetraces-anon`) name the conversation besides, have blocks of 16 tokens, and
 * times in seconds.
 */
export const readMooncake: TraceReader = async (lines, { requests = Number.POSITIVE_INFINITY }) => {
  const rows: { line: Line; row: Row }[] = []
  for await (const line of lines) {
    if (rows.length >= requests) break
    const row = parseLine(line, shape)
    if (row.chat_id !== undefined) row.timestamp *= 1000
    rows.push({ line, row })
  }
  const blockTokens = blockTokensOf(rows)
  const isOnGrid = ({ row }: { row: Row }) => (row.timestamp + offGridMs) % gridMs <= 2 * offGridMs
  const onGrid = rows.length > 1 && rows.filter(isOnGrid).length >= shareOnGrid * rows.length
  const read: TraceRequest[] = rows.map(({ row }) => ({
    atMs: row.timestamp,
    promptTokens: row.input_length,
    outputTokens: row.output_length,
    hashes: blockTokens > 0 ? row.hash_ids.slice(0, Math.floor(row.input_length / blockTokens)) : [],
    tenant: 'default',
  }))
  return { blockTokens, bucketMs: onGrid ? gridMs : 0, requests: addAnswers(read, blockTokens) }
}

/** @throws LineError at the first line that no size agrees with. */
function blockTokensOf(rows: readonly { line: Line; row: Row }[]): number {
  let sizes = [512, 16, 32, 64, 128, 256, 1024, 8]
  for (const { line, row } of rows) {
    const count = row.hash_ids.length
    if (count === 0) continue
    const length = row.input_length
    const fitting = sizes.filter(
      (size) => count === Math.ceil(length / size) || count === Math.floor(length / size),
    )
    if (fitting.length === 0) {
      throw new LineError(
        line,
        `${count} hash_ids do not agree with ${length} tokens in blocks of ${sizes.join(' or ')}`,
      )
    }
    sizes = fitting
  }
  return rows.some(({ row }) => row.hash_ids.length > 0) ? (sizes[0] ?? 0) : 0
}
