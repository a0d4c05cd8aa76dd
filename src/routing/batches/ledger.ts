import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite'
import { DroverError } from '../../inference/index.ts'
import type {
  Batch,
  BatchStatus,
  BatchUsage,
  BatchWish,
  InputError,
  Page,
  PageWish,
  StoredFile,
} from './contract.ts'

type Row = Record<string, SQLOutputValue>

/** A batch with the number by which its lines are kept. */
export interface LedgerBatch extends Batch {
  seq: number
}

/** Where a line of a batch lies in its input file. */
export interface LineRef {
  /** From 1. */
  line: number
  customId: string
  /** Offset and length in bytes. */
  at: number
  bytes: number
}

/** A line as it will stand in an output file. */
export interface LineAnswer {
  json: string
  failed: boolean
  usage: BatchUsage
}

/** The end of a batch: its files, and what became of it. */
export interface BatchEnd {
  status: 'completed' | 'expired' | 'cancelled'
  endedS: number
  output: StoredFile | undefined
  errors: StoredFile | undefined
  /** Lines that were never answered. */
  givenUp: number
}

/** What is known of files and batches, in the database. Each change is whole or not there at all. */
export type Ledger = ReturnType<typeof createLedger>

export function createLedger(database: DatabaseSync) {
  const statements = new Map<string, ReturnType<DatabaseSync['prepare']>>()
  const prepared = (sql: string) => {
    const known = statements.get(sql) ?? database.prepare(sql)
    statements.set(sql, known)
    return known
  }
  const all = (sql: string, ...values: SQLInputValue[]): Row[] => prepared(sql).all(...values)
  const one = (sql: string, ...values: SQLInputValue[]): Row | undefined => prepared(sql).get(...values)
  const run = (sql: string, ...values: SQLInputValue[]) => Number(prepared(sql).run(...values).changes)

  function together<T>(work: () => T): T {
    database.exec('BEGIN')
    try {
      const result = work()
      database.exec('COMMIT')
      return result
    } catch (thrown) {
      // SQLite has rolled back by itself where the disk was full.
      if (database.isTransaction) database.exec('ROLLBACK')
      throw thrown
    }
  }

  /** What a client has been told is on the disk, not only with the system, before it is told. */
  function durably<T>(work: () => T): T {
    database.exec('PRAGMA synchronous = FULL')
    try {
      return together(work)
    } finally {
      database.exec('PRAGMA synchronous = NORMAL')
    }
  }

  /** One more than the page has is asked for, to see whether there are more. */
  function page(table: 'files' | 'batches', tenant: string, wish: PageWish, purpose?: string): Page<Row> {
    const ascending = wish.order === 'asc'
    const { after } = wish
    const last = after && one(`SELECT seq FROM ${table} WHERE tenant = ? AND id = ?`, tenant, after)
    if (after && !last) throw new DroverError('invalid_request', `after: there is no '${after}' in this list`)
    const rows = all(
      `SELECT * FROM ${table} WHERE tenant = ? AND seq ${ascending ? '>' : '<'} ?
         ${purpose === undefined ? '' : 'AND purpose = ?'}
       ORDER BY seq ${ascending ? 'ASC' : 'DESC'} LIMIT ?`,
      tenant,
      last ? integer(last['seq']) : ascending ? 0 : Number.MAX_SAFE_INTEGER,
      ...(purpose === undefined ? [] : [purpose]),
      wish.limit + 1,
    )
    return { items: rows.slice(0, wish.limit), hasMore: rows.length > wish.limit }
  }

  function insertFile(file: StoredFile): void {
    run(
      `INSERT INTO files (id, tenant, filename, purpose, bytes, created_s, expires_s)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      file.id,
      file.tenant,
      file.filename,
      file.purpose,
      file.bytes,
      file.createdS,
      file.expiresS ?? null,
    )
  }

  const batchBySeq = (seq: number): LedgerBatch =>
    toBatch(one('SELECT * FROM batches WHERE seq = ?', seq) ?? {})

  return {
    addFile: (file: StoredFile) => durably(() => insertFile(file)),
    file(tenant: string, id: string): StoredFile | undefined {
      const row = one('SELECT * FROM files WHERE tenant = ? AND id = ?', tenant, id)
      return row && toFile(row)
    },
    files(tenant: string, wish: PageWish, purpose?: string): Page<StoredFile> {
      const { items, hasMore } = page('files', tenant, wish, purpose)
      return { items: items.map(toFile), hasMore }
    },
    fileIds: () => new Set(all('SELECT id FROM files').map((row) => text(row['id']))),
    expiredFiles: (nowS: number) => all('SELECT * FROM files WHERE expires_s <= ?', nowS).map(toFile),
    removeFile: (id: string) => durably(() => run('DELETE FROM files WHERE id = ?', id)),
    /** An unfinished batch that reads this file. */
    readerOf(id: string): string | undefined {
      const row = one('SELECT id FROM batches WHERE input_file_id = ? AND ended_s IS NULL', id)
      return row && text(row['id'])
    },

    addBatch(batch: { id: string; tenant: string; createdS: number } & BatchWish): LedgerBatch {
      durably(() =>
        run(
          `INSERT INTO batches (id, tenant, status, endpoint, input_file_id, metadata, window_s,
             output_expires_after_s, created_s, expires_s)
           VALUES (?, ?, 'validating', ?, ?, ?, ?, ?, ?, ?)`,
          batch.id,
          batch.tenant,
          batch.endpoint,
          batch.inputFileId,
          batch.metadata ? JSON.stringify(batch.metadata) : null,
          batch.windowS,
          batch.outputExpiresAfterS ?? null,
          batch.createdS,
          batch.createdS + batch.windowS,
        ),
      )
      return toBatch(one('SELECT * FROM batches WHERE id = ?', batch.id) ?? {})
    },
    batch(tenant: string, id: string): LedgerBatch | undefined {
      const row = one('SELECT * FROM batches WHERE tenant = ? AND id = ?', tenant, id)
      return row && toBatch(row)
    },
    batchBySeq,
    batches(tenant: string, wish: PageWish): Page<Batch> {
      const { items, hasMore } = page('batches', tenant, wish)
      return { items: items.map(toBatch), hasMore }
    },
    unfinished: () => all('SELECT * FROM batches WHERE ended_s IS NULL ORDER BY seq').map(toBatch),
    countUnfinished(tenant: string): number {
      const row = one('SELECT count(*) AS count FROM batches WHERE tenant = ? AND ended_s IS NULL', tenant)
      return integer(row?.['count'])
    },
    failInput: (seq: number, errors: readonly InputError[], endedS: number) =>
      durably(() => {
        const json = JSON.stringify(errors)
        run(`UPDATE batches SET status = 'failed', errors = ?, ended_s = ? WHERE seq = ?`, json, endedS, seq)
      }),
    cancel: (seq: number, cancellingS: number) =>
      durably(() =>
        run(
          `UPDATE batches SET status = 'cancelling', cancelling_s = ?
           WHERE seq = ? AND status IN ('validating', 'in_progress')`,
          cancellingS,
          seq,
        ),
      ),
    begin: (seq: number, facts: { total: number; model: string | undefined; inProgressS: number }) =>
      together(() =>
        run(
          `UPDATE batches SET total = ?, model = ?, in_progress_s = ?,
             status = CASE status WHEN 'validating' THEN 'in_progress' ELSE status END
           WHERE seq = ?`,
          facts.total,
          facts.model ?? null,
          facts.inProgressS,
          seq,
        ),
      ),
    finalizing: (seq: number, finalizingS: number) =>
      together(() =>
        run(
          `UPDATE batches SET finalizing_s = ?,
             status = CASE status WHEN 'cancelling' THEN status ELSE 'finalizing' END
           WHERE seq = ?`,
          finalizingS,
          seq,
        ),
      ),
    end: (seq: number, { status, endedS, output, errors, givenUp }: BatchEnd) =>
      durably(() => {
        if (output) insertFile(output)
        if (errors) insertFile(errors)
        run(
          `UPDATE batches SET status = ?, ended_s = ?, output_file_id = ?, error_file_id = ?, failed = failed + ?
           WHERE seq = ?`,
          status,
          endedS,
          output?.id ?? null,
          errors?.id ?? null,
          givenUp,
          seq,
        )
      }),

    addLines: (seq: number, lines: readonly LineRef[]) =>
      together(() => {
        for (const { line, customId, at, bytes } of lines) {
          run(
            'INSERT INTO lines (batch, line, custom_id, at, bytes) VALUES (?, ?, ?, ?, ?)',
            seq,
            line,
            customId,
            at,
            bytes,
          )
        }
      }),
    /** Unanswered lines after this one, in order. */
    unanswered: (seq: number, afterLine: number, limit: number): LineRef[] =>
      all(
        `SELECT line, custom_id, at, bytes FROM lines
         WHERE batch = ? AND line > ? AND answer IS NULL ORDER BY line LIMIT ?`,
        seq,
        afterLine,
        limit,
      ).map(toLine),
    /** Keeps a line's answer, unless it has one; then nothing is counted again. */
    answer: (seq: number, line: number, { json, failed, usage }: LineAnswer) =>
      together(() => {
        const isNew = run(
          'UPDATE lines SET answer = ?, failed = ? WHERE batch = ? AND line = ? AND answer IS NULL',
          json,
          Number(failed),
          seq,
          line,
        )
        if (isNew === 0) return
        run(
          `UPDATE batches SET completed = completed + ?, failed = failed + ?, input_tokens = input_tokens + ?,
             cached_tokens = cached_tokens + ?, output_tokens = output_tokens + ?,
             reasoning_tokens = reasoning_tokens + ?
           WHERE seq = ?`,
          Number(!failed),
          Number(failed),
          usage.inputTokens,
          usage.cachedTokens,
          usage.outputTokens,
          usage.reasoningTokens,
          seq,
        )
      }),
    /** Lines after this one that were answered well. */
    goodAnswers: (seq: number, afterLine: number, limit: number) =>
      all(
        `SELECT line, answer FROM lines
         WHERE batch = ? AND line > ? AND failed = 0 AND answer IS NOT NULL ORDER BY line LIMIT ?`,
        seq,
        afterLine,
        limit,
      ).map((row) => ({ line: integer(row['line']), json: text(row['answer']) })),
    /** Lines after this one that failed, or (`json` is undefined) that have no answer. */
    otherLines: (seq: number, afterLine: number, limit: number) =>
      all(
        `SELECT line, custom_id, answer FROM lines
         WHERE batch = ? AND line > ? AND (failed = 1 OR answer IS NULL) ORDER BY line LIMIT ?`,
        seq,
        afterLine,
        limit,
      ).map((row) => ({
        line: integer(row['line']),
        customId: text(row['custom_id']),
        json: optionalText(row['answer']),
      })),
    /** Removes lines that no unfinished batch needs, or those of one batch; how many at most, to be called again. */
    dropLines: (limit: number, seq?: number): number =>
      run(
        `DELETE FROM lines WHERE rowid IN (
           SELECT rowid FROM lines
           WHERE ${seq === undefined ? 'batch NOT IN (SELECT seq FROM batches WHERE ended_s IS NULL)' : 'batch = ?'}
           LIMIT ?)`,
        ...(seq === undefined ? [] : [seq]),
        limit,
      ),
    /** Gives freed pages back to the file system, a few at a time. */
    shrink(): boolean {
      database.exec('PRAGMA incremental_vacuum(256)')
      return integer(one('PRAGMA freelist_count')?.['freelist_count']) > 0
    },
    close: () => database.close(),
  }
}

function toFile(row: Row): StoredFile {
  const expiresS = optionalInteger(row['expires_s'])
  return {
    id: text(row['id']),
    tenant: text(row['tenant']),
    filename: text(row['filename']),
    purpose: text(row['purpose']) as StoredFile['purpose'],
    bytes: integer(row['bytes']),
    createdS: integer(row['created_s']),
    ...(expiresS !== undefined && { expiresS }),
  }
}

function toLine(row: Row): LineRef {
  return {
    line: integer(row['line']),
    customId: text(row['custom_id']),
    at: integer(row['at']),
    bytes: integer(row['bytes']),
  }
}

function toBatch(row: Row): LedgerBatch {
  const metadata = optionalText(row['metadata'])
  const errors = optionalText(row['errors'])
  const optional = {
    outputExpiresAfterS: optionalInteger(row['output_expires_after_s']),
    inProgressS: optionalInteger(row['in_progress_s']),
    cancellingS: optionalInteger(row['cancelling_s']),
    finalizingS: optionalInteger(row['finalizing_s']),
    endedS: optionalInteger(row['ended_s']),
    outputFileId: optionalText(row['output_file_id']),
    errorFileId: optionalText(row['error_file_id']),
    model: optionalText(row['model']),
    metadata: metadata === undefined ? undefined : (JSON.parse(metadata) as Record<string, string>),
  }
  return {
    seq: integer(row['seq']),
    id: text(row['id']),
    tenant: text(row['tenant']),
    status: text(row['status']) as BatchStatus,
    endpoint: text(row['endpoint']) as Batch['endpoint'],
    inputFileId: text(row['input_file_id']),
    windowS: integer(row['window_s']),
    createdS: integer(row['created_s']),
    expiresS: integer(row['expires_s']),
    errors: errors === undefined ? [] : (JSON.parse(errors) as InputError[]),
    counts: {
      total: integer(row['total']),
      completed: integer(row['completed']),
      failed: integer(row['failed']),
    },
    usage: {
      inputTokens: integer(row['input_tokens']),
      cachedTokens: integer(row['cached_tokens']),
      outputTokens: integer(row['output_tokens']),
      reasoningTokens: integer(row['reasoning_tokens']),
    },
    ...withoutUndefined(optional),
  }
}

/** Members that are there; the type says that none is there as `undefined`. */
function withoutUndefined<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

function text(value: SQLOutputValue | undefined): string {
  if (typeof value === 'string') return value
  throw new Error(`the database has ${typeof value} where a text belongs`)
}

function integer(value: SQLOutputValue | undefined): number {
  if (typeof value === 'number') return value
  throw new Error(`the database has ${typeof value} where a number belongs`)
}

const optionalText = (value: SQLOutputValue | undefined) => (typeof value === 'string' ? value : undefined)
const optionalInteger = (value: SQLOutputValue | undefined) => (typeof value === 'number' ? value : undefined)
