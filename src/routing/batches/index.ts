import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, randomId } from '../../core/index.ts'
import { asDroverError, DroverError } from '../../inference/index.ts'
import type { Logger } from '../../observability/index.ts'
import type { Batches, ExecuteCall, StoredFile } from './contract.ts'
import { databasePath, isDiskFull, openDatabase } from './database.ts'
import { type Contents, openContents } from './files.ts'
import type { InputLimits } from './input.ts'
import { createLedger, type Ledger, type LedgerBatch } from './ledger.ts'
import { createRunner, type Runner } from './runner.ts'

export * from './contract.ts'

export interface BatchLimits extends InputLimits {
  /** Of an input file. */
  maxFileBytes: number
  /** Unfinished batches of one tenant. */
  maxUnfinished: number
  /** Lines in flight, of all batches together. */
  maxConcurrent: number
  /** Free space of the disk that files and answers leave untouched. */
  reserveBytes: number
}

/** Those of OpenAI's own Batch API where it has them. */
export const defaultBatchLimits: BatchLimits = {
  maxFileBytes: 200 * 2 ** 20,
  maxLines: 50_000,
  maxLineBytes: 32 * 2 ** 20,
  maxUnfinished: 100,
  maxConcurrent: 32,
  reserveBytes: 256 * 2 ** 20,
}

export interface BatchesOptions {
  /** Holds everything; made when the first file comes. */
  folder: string
  limits: BatchLimits
  /** Bulk requests that may begin at this moment beside those that run already: slots that nobody wants. */
  freeSlots: () => number
  clock: Clock
  log: Logger
}

/** Files that have had their time are looked for so often. */
const sweepMs = 3_600_000

/** What is there once the folder is open. */
interface Opened {
  ledger: Ledger
  contents: Contents
  runner: Runner | undefined
  cancelSweep: () => void
}

/** Opens nothing yet: where there never was a batch, none of this costs anything. */
export function createBatches({ folder, limits, freeSlots, clock, log }: BatchesOptions): Batches {
  let execute: ExecuteCall | undefined
  let opening: Promise<Opened> | undefined
  let closed = false

  const nowS = () => Math.floor(clock.now() / 1000)

  function opened(): Promise<Opened> {
    if (closed) return Promise.reject(new DroverError('shutting_down', 'the server is shutting down'))
    opening ??= open().catch((thrown) => {
      // Another server may have left by the next time.
      opening = undefined
      throw thrown
    })
    return opening
  }

  async function open(): Promise<Opened> {
    const ledger = createLedger(await openDatabase(folder))
    const contents = await openContents(join(folder, 'files'))
    await contents.sweep(ledger.fileIds())
    const parts: Opened = { ledger, contents, runner: undefined, cancelSweep: () => undefined }
    startRunner(parts)
    await sweepExpired(parts)
    return parts
  }

  function startRunner(parts: Opened): void {
    if (!execute || parts.runner) return
    const { ledger, contents } = parts
    const { maxConcurrent, reserveBytes } = limits
    const shared = { ledger, contents, limits, execute, freeSlots, maxConcurrent, reserveBytes, clock, log }
    parts.runner = createRunner(shared)
    for (const batch of ledger.unfinished()) parts.runner.add(batch)
  }

  async function sweepExpired(parts: Opened): Promise<void> {
    const { ledger, contents } = parts
    for (const { id } of ledger.expiredFiles(nowS())) {
      if (ledger.readerOf(id) === undefined) await remove(parts, id)
    }
    parts.cancelSweep = clock.after(sweepMs, () => {
      sweepExpired(parts).catch((error) =>
        log.warn(
          { reason: asDroverError(error).message, folder: contents.path('') },
          'old files were not removed',
        ),
      )
    })
  }

  /** First its record: what has none is removed at the next start, but what has one has to be there. */
  async function remove({ ledger, contents }: Opened, id: string): Promise<void> {
    ledger.removeFile(id)
    await contents.remove(id)
  }

  function fileOf({ ledger }: Opened, tenant: string, id: string): StoredFile {
    const file = ledger.file(tenant, id)
    if (!file || (file.expiresS ?? Number.POSITIVE_INFINITY) <= nowS()) {
      throw new DroverError('not_found', `No such File object: ${id}`)
    }
    return file
  }

  function batchOf({ ledger }: Opened, tenant: string, id: string): LedgerBatch {
    const batch = ledger.batch(tenant, id)
    if (!batch) throw new DroverError('not_found', `No batch found with id '${id}'.`)
    return batch
  }

  /** A change that has no room is the client's to repeat. */
  function writing<T>(change: () => T): T {
    try {
      return change()
    } catch (thrown) {
      if (isDiskFull(thrown)) throw new DroverError('storage_full', 'the disk is full', { cause: thrown })
      throw thrown
    }
  }

  return {
    async addFile(tenant, content, wish) {
      const { ledger, contents } = await opened()
      if ((await contents.freeBytes()) <= limits.reserveBytes) {
        throw new DroverError('storage_full', 'the disk is nearly full: no file is taken')
      }
      const id = `file-${randomId(24)}`
      const bytes = await contents.write(id, content, limits.maxFileBytes)
      try {
        const { filename, expiresAfterS } = wish()
        const createdS = nowS()
        const expiresS = createdS + expiresAfterS
        const file: StoredFile = { id, tenant, filename, purpose: 'batch', bytes, createdS, expiresS }
        writing(() => ledger.addFile(file))
        return file
      } catch (thrown) {
        await contents.remove(id)
        throw thrown
      }
    },
    file: async (tenant, id) => fileOf(await opened(), tenant, id),
    files: async (tenant, page, purpose) => (await opened()).ledger.files(tenant, page, purpose),
    async contentPath(tenant, id) {
      const parts = await opened()
      return parts.contents.path(fileOf(parts, tenant, id).id)
    },
    async deleteFile(tenant, id) {
      const parts = await opened()
      const reader = parts.ledger.readerOf(fileOf(parts, tenant, id).id)
      if (reader !== undefined) {
        const words = `${id} is the input of ${reader}, which has not ended: cancel it, or wait`
        throw new DroverError('invalid_request', words)
      }
      await remove(parts, id)
    },

    async create(tenant, wish) {
      const parts = await opened()
      const file = fileOf(parts, tenant, wish.inputFileId)
      if (file.purpose !== 'batch') {
        throw new DroverError('invalid_request', `${file.id} is an output, and no input, of a batch`)
      }
      if (parts.ledger.countUnfinished(tenant) >= limits.maxUnfinished) {
        const words = `${limits.maxUnfinished} batches have not ended yet: wait for one of them, or cancel it`
        throw new DroverError('rate_limited', words)
      }
      const id = `batch_${randomId(24)}`
      const batch = writing(() => parts.ledger.addBatch({ ...wish, id, tenant, createdS: nowS() }))
      parts.runner?.add(batch)
      return batch
    },
    batch: async (tenant, id) => batchOf(await opened(), tenant, id),
    list: async (tenant, page) => (await opened()).ledger.batches(tenant, page),
    async cancel(tenant, id) {
      const parts = await opened()
      const { seq, status } = batchOf(parts, tenant, id)
      if (writing(() => parts.ledger.cancel(seq, nowS())) === 0 && status !== 'cancelling') {
        throw new DroverError('invalid_request', `Cannot cancel a batch with status '${status}'.`)
      }
      parts.runner?.cancel(seq)
      return parts.ledger.batchBySeq(seq)
    },

    run(asked) {
      execute = asked
      if (!opening && !existsSync(databasePath(folder))) return
      opened()
        .then(startRunner)
        .catch((error) => log.warn({ reason: asDroverError(error).message }, 'batches do not run'))
    },
    async close() {
      if (closed) return
      closed = true
      const [parts] = await Promise.allSettled([opening])
      // What did not open has nothing to close, and has told why.
      if (parts.status === 'rejected' || !parts.value) return
      const { ledger, runner, cancelSweep } = parts.value
      cancelSweep()
      await runner?.close()
      ledger.close()
    },
  }
}
