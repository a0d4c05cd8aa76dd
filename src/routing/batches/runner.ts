import { asDroverError, DroverError } from '../../inference/index.ts'
import { isDiskFull } from './database.ts'
import { createGrants } from './grants.ts'
import { checkInput } from './input.ts'
import type { Ledger, LedgerBatch } from './ledger.ts'
import { answerLines } from './lines.ts'
import { writeOutput } from './output.ts'
import { fullDiskRetryMs, type Workshop } from './workshop.ts'

/** Works on batches, each by itself, as far as there is room. */
export interface Runner {
  add(batch: LedgerBatch): void
  /** Breaks off what runs of it. */
  cancel(seq: number): void
  /** Breaks off everything, and resolves when nothing is written any more. */
  close(): Promise<void>
}

/** Lines that are deleted at once, so that a large batch holds nothing up. */
const linesAtOnce = 200

export function createRunner(workshop: Workshop): Runner {
  const { ledger, clock, log } = workshop
  const grants = createGrants(workshop)
  const closing = new AbortController()
  const active = new Map<number, { stop: AbortController; finished: Promise<void> }>()

  async function work(batch: LedgerBatch, stop: AbortController): Promise<void> {
    const signal = AbortSignal.any([stop.signal, closing.signal])
    const cancelTimer = stopInTime(batch, stop)
    try {
      if (batch.status === 'validating' && !(await validate(batch, signal))) return
      if (batch.status !== 'finalizing') await answerLines(workshop, grants, batch, signal)
      if (!closing.signal.aborted) await finish(batch)
    } catch (thrown) {
      // It stays unfinished, and the next start goes on with it.
      if (!closing.signal.aborted) {
        log.error({ batch: batch.id, reason: asDroverError(thrown).message }, 'batch stopped')
      }
    } finally {
      cancelTimer()
      active.delete(batch.seq)
    }
  }

  /** Its window ends, or has ended while nothing ran. */
  function stopInTime(batch: LedgerBatch, stop: AbortController): () => void {
    const expire = () => stop.abort(new DroverError('cancelled', 'the batch has expired'))
    const leftMs = batch.expiresS * 1000 - clock.now()
    if (batch.status === 'cancelling' || leftMs <= 0) expire()
    return clock.after(Math.max(0, leftMs), expire)
  }

  /** Whether there is anything to ask. */
  async function validate(batch: LedgerBatch, signal: AbortSignal): Promise<boolean> {
    const { seq, id } = batch
    const path = workshop.contents.path(batch.inputFileId)
    try {
      const checked = await persist(async () => {
        // Of an earlier try that was not finished.
        await dropLines(seq)
        return checkInput(
          path,
          batch.endpoint,
          workshop.limits,
          (lines) => ledger.addLines(seq, lines),
          signal,
        )
      })
      if (checked.errors.length > 0) return reject(seq, checked.errors)
      const { total, model } = checked
      ledger.begin(seq, { total, model, inProgressS: nowS() })
      log.info({ batch: id, lines: total, model }, 'batch begins')
      return true
    } catch (thrown) {
      if (closing.signal.aborted) throw thrown
      // Cancelled before it had begun: there is nothing of it to keep.
      if (signal.aborted) await dropLines(seq)
      if (signal.aborted) return true
      const message = `the input file cannot be read: ${asDroverError(thrown).message}`
      return reject(seq, [{ code: 'input_unreadable', message }])
    }
  }

  async function reject(seq: number, errors: Parameters<Ledger['failInput']>[1]): Promise<boolean> {
    ledger.failInput(seq, errors, nowS())
    await dropLines(seq)
    return false
  }

  async function finish(batch: LedgerBatch): Promise<void> {
    ledger.finalizing(batch.seq, nowS())
    const end = await persist(() => writeOutput(workshop, ledger.batchBySeq(batch.seq)))
    ledger.end(batch.seq, end)
    const { completed, failed } = ledger.batchBySeq(batch.seq).counts
    log.info({ batch: batch.id, status: end.status, completed, failed }, 'batch ended')
    await dropLines(batch.seq)
    while (ledger.shrink()) await nextTurn()
  }

  /** Tries again for as long as the disk is full. */
  async function persist<T>(write: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await write()
      } catch (thrown) {
        if (asDroverError(thrown).code !== 'storage_full' && !isDiskFull(thrown)) throw thrown
        log.warn({ reason: asDroverError(thrown).message }, 'the disk is full: batches wait')
        await clock.sleep(fullDiskRetryMs, closing.signal)
      }
    }
  }

  async function dropLines(seq?: number): Promise<void> {
    while (!closing.signal.aborted && ledger.dropLines(linesAtOnce, seq) > 0) await nextTurn()
  }

  const nowS = () => Math.floor(clock.now() / 1000)

  // Of batches that had ended when the last server was killed.
  const cleaned = dropLines().catch((thrown) =>
    log.warn({ reason: asDroverError(thrown).message }, 'lines of ended batches were not removed'),
  )

  return {
    add(batch) {
      const stop = new AbortController()
      active.set(batch.seq, { stop, finished: work(batch, stop) })
    },
    cancel: (seq) => active.get(seq)?.stop.abort(new DroverError('cancelled', 'the batch was cancelled')),
    async close() {
      closing.abort(new DroverError('shutting_down', 'the server is shutting down'))
      await Promise.all([cleaned, ...[...active.values()].map(({ finished }) => finished)])
      grants.close()
    },
  }
}

/** Lets requests have their turn. */
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))
