import { randomId } from '../../core/index.ts'
import { asDroverError } from '../../inference/index.ts'
import { answerLine, noUsage, refusalLine } from './answer.ts'
import type { BatchReply } from './contract.ts'
import { isDiskFull } from './database.ts'
import type { Grants } from './grants.ts'
import { checkLine, readLine } from './input.ts'
import type { LedgerBatch, LineAnswer, LineRef } from './ledger.ts'
import { fullDiskRetryMs, type Workshop } from './workshop.ts'

/** A line whose engine failed is asked so often in all; one that was only refused for now, until the batch expires. */
const mostTries = 3
/** Before a line is asked again, doubled each time. */
const firstRetryMs = 1000
/** Where a refusal does not say when to come again. */
const refusedMs = 5000
/** Lines whose places are known beforehand. */
const linesAhead = 200

interface Waiting {
  line: LineRef
  tries: number
  notBeforeMs: number
}

/**
 * Asks every line of a batch that has no answer, as grants allow, and keeps the answers. Resolves when every line has
 * one, or when the signal has aborted and nothing runs any more.
 */
export async function answerLines(
  workshop: Workshop,
  grants: Grants,
  batch: LedgerBatch,
  signal: AbortSignal,
): Promise<void> {
  const { ledger, clock } = workshop
  const inFlight = new Set<Promise<void>>()
  const again: Waiting[] = []
  let ahead: LineRef[] = []
  let lastLine = 0
  /** The server has refused a line: the others would meet the same. */
  let pausedUntilMs = 0
  let failure: unknown

  function next(): Waiting | undefined {
    const due = again.findIndex(({ notBeforeMs }) => notBeforeMs <= clock.monotonicMs())
    if (due >= 0) return again.splice(due, 1)[0]
    if (ahead.length === 0) ahead = ledger.unanswered(batch.seq, lastLine, linesAhead)
    const line = ahead.shift()
    if (!line) return undefined
    lastLine = line.line
    return { line, tries: 0, notBeforeMs: 0 }
  }

  async function ask({ line, tries }: Waiting): Promise<void> {
    const reply = await askLine(workshop, batch, line, signal)
    if (reply === undefined) return
    const waitMs = 'status' in reply ? retryMs(reply, tries + 1) : undefined
    if (waitMs === undefined) return keep(workshop, batch, line, reply, signal)
    const notBeforeMs = clock.monotonicMs() + waitMs
    if (isRefusal(reply)) pausedUntilMs = notBeforeMs
    again.push({ line, tries: isRefusal(reply) ? tries : tries + 1, notBeforeMs })
  }

  try {
    while (!signal.aborted && failure === undefined) {
      const pauseMs = pausedUntilMs - clock.monotonicMs()
      if (pauseMs > 0) await clock.sleep(pauseMs, signal)
      const waiting = next()
      if (waiting) {
        await roomOnDisk(workshop, signal)
        const giveBack = await grants.take(signal)
        const asked: Promise<void> = ask(waiting)
          .catch((thrown) => {
            failure = thrown
          })
          .finally(() => {
            inFlight.delete(asked)
            giveBack()
          })
        inFlight.add(asked)
      } else if (inFlight.size > 0) await Promise.race(inFlight)
      else if (again.length > 0) {
        const soonestMs = Math.min(...again.map(({ notBeforeMs }) => notBeforeMs))
        await clock.sleep(Math.max(0, soonestMs - clock.monotonicMs()), signal)
      } else break
    }
  } catch (thrown) {
    if (!signal.aborted) throw thrown
  } finally {
    await Promise.all(inFlight)
  }
  if (failure !== undefined) throw failure
}

const isRefusal = (reply: LineReply) => 'status' in reply && (reply.status === 429 || reply.status === 503)

/** Milliseconds until it is worth asking again; undefined where the reply stands. */
function retryMs(reply: BatchReply, tries: number): number | undefined {
  if (isRefusal(reply)) return reply.retryAfterMs ?? refusedMs
  if (reply.status < 500 || reply.status === 501 || tries >= mostTries) return undefined
  return reply.retryAfterMs ?? firstRetryMs * 2 ** (tries - 1)
}

type LineReply = BatchReply | { code: string; message: string }

/** Asks one line; undefined when it was broken off. */
async function askLine(
  { contents, execute }: Workshop,
  batch: LedgerBatch,
  line: LineRef,
  signal: AbortSignal,
): Promise<LineReply | undefined> {
  try {
    const checked = checkLine(await readLine(contents.path(batch.inputFileId), line), batch.endpoint)
    if (!('body' in checked)) return checked
    if (checked.body['stream'] === true) {
      return { code: 'invalid_request', message: 'stream is true, and the lines of a batch cannot stream' }
    }
    const { tenant, endpoint: url } = batch
    const reply = await execute({ tenant, url, body: JSON.stringify(checked.body) }, signal)
    return signal.aborted ? undefined : reply
  } catch (thrown) {
    if (signal.aborted) return undefined
    const { code, message } = asDroverError(thrown)
    return { code, message }
  }
}

/** Keeps an answer, however long the disk is full. */
async function keep(
  { ledger, clock, log }: Workshop,
  batch: LedgerBatch,
  { line, customId }: LineRef,
  reply: LineReply,
  signal: AbortSignal,
): Promise<void> {
  const id = `batch_req_${randomId(24)}`
  const answer: LineAnswer =
    'status' in reply
      ? answerLine(id, customId, reply)
      : { json: refusalLine(id, customId, reply), failed: true, usage: noUsage }
  for (;;) {
    try {
      ledger.answer(batch.seq, line, answer)
      return
    } catch (thrown) {
      if (!isDiskFull(thrown) || signal.aborted) throw thrown
      log.warn({ batch: batch.id, line }, 'the disk is full: an answer waits to be written')
      await clock.sleep(fullDiskRetryMs, signal)
    }
  }
}

async function roomOnDisk(
  { contents, reserveBytes, clock, log }: Workshop,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const freeBytes = await contents.freeBytes()
    if (freeBytes >= reserveBytes) return
    log.warn({ freeBytes, reserveBytes }, 'the disk is nearly full: batches wait')
    await clock.sleep(fullDiskRetryMs, signal)
  }
}
