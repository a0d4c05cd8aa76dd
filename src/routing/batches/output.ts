import { randomId } from '../../core/index.ts'
import { refusalLine } from './answer.ts'
import type { StoredFile } from './contract.ts'
import type { BatchEnd, LedgerBatch } from './ledger.ts'
import type { Workshop } from './workshop.ts'

/** Answers that are in memory at once. */
const answersAtOnce = 16

/**
 * Writes the output and the error file of a batch whose work is over: every line once, in one of them. Nothing refers
 * to them before the batch has its end, so what a kill leaves of them is removed at the next start.
 */
export async function writeOutput(workshop: Workshop, batch: LedgerBatch): Promise<BatchEnd> {
  const { ledger, contents, clock } = workshop
  const { seq, id, counts } = batch
  const givenUp = counts.total - counts.completed - counts.failed
  const endedS = Math.floor(clock.now() / 1000)

  async function write(name: string, lines: Iterable<string>): Promise<StoredFile> {
    const fileId = `file-${randomId(24)}`
    const bytes = await contents.write(fileId, asAsync(lines), Number.POSITIVE_INFINITY)
    return {
      id: fileId,
      tenant: batch.tenant,
      filename: `${id}_${name}.jsonl`,
      purpose: 'batch_output',
      bytes,
      createdS: endedS,
      ...(batch.outputExpiresAfterS !== undefined && { expiresS: endedS + batch.outputExpiresAfterS }),
    }
  }

  function* good(): Iterable<string> {
    for (const { json } of paged((after) => ledger.goodAnswers(seq, after, answersAtOnce))) yield `${json}\n`
  }
  function* others(): Iterable<string> {
    for (const { json, customId } of paged((after) => ledger.otherLines(seq, after, answersAtOnce))) {
      yield `${json ?? refusalLine(`batch_req_${randomId(24)}`, customId, unanswered(batch))}\n`
    }
  }

  const cancelled = batch.cancellingS !== undefined
  // One that never began had its window end while no server ran.
  const expired = givenUp > 0 || batch.inProgressS === undefined
  return {
    status: cancelled ? 'cancelled' : expired ? 'expired' : 'completed',
    endedS,
    output: counts.completed > 0 ? await write('output', good()) : undefined,
    errors: counts.failed + givenUp > 0 ? await write('error', others()) : undefined,
    givenUp,
  }
}

function unanswered({ cancellingS }: LedgerBatch): { code: string; message: string } {
  if (cancellingS !== undefined) {
    return { code: 'batch_cancelled', message: 'The batch was cancelled before this request was answered.' }
  }
  return {
    code: 'batch_expired',
    message: 'This request could not be executed before the completion window expired.',
  }
}

function* paged<T extends { line: number }>(page: (afterLine: number) => T[]): Iterable<T> {
  for (let after = 0; ; ) {
    const items = page(after)
    yield* items
    const last = items.at(-1)
    if (!last) return
    after = last.line
  }
}

/** Requests have their turn between two lines. */
async function* asAsync(lines: Iterable<string>): AsyncGenerator<Buffer> {
  for (const line of lines) {
    await new Promise<void>((resolve) => setImmediate(resolve))
    yield Buffer.from(line)
  }
}
