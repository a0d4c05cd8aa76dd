import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { DroverError } from '../../inference/index.ts'

/** Raised with every change of the tables; a newer one is refused, an older one brought up to date here. */
const version = 1

const tables = `
  CREATE TABLE files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    filename TEXT NOT NULL,
    purpose TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_s INTEGER NOT NULL,
    expires_s INTEGER
  ) STRICT;
  CREATE INDEX files_of_tenant ON files (tenant, seq);

  CREATE TABLE batches (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    status TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    input_file_id TEXT NOT NULL,
    metadata TEXT,
    window_s INTEGER NOT NULL,
    output_expires_after_s INTEGER,
    created_s INTEGER NOT NULL,
    expires_s INTEGER NOT NULL,
    in_progress_s INTEGER,
    cancelling_s INTEGER,
    finalizing_s INTEGER,
    ended_s INTEGER,
    errors TEXT,
    output_file_id TEXT,
    error_file_id TEXT,
    model TEXT,
    total INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX batches_of_tenant ON batches (tenant, seq);
  CREATE INDEX batches_unfinished ON batches (seq) WHERE ended_s IS NULL;

  -- Lines of unfinished batches; the requests themselves stay in the input file.
  CREATE TABLE lines (
    batch INTEGER NOT NULL,
    line INTEGER NOT NULL,
    custom_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    failed INTEGER NOT NULL DEFAULT 0,
    answer TEXT,
    PRIMARY KEY (batch, line)
  ) STRICT;
  CREATE INDEX lines_unanswered ON lines (batch, line) WHERE answer IS NULL;
`

export const databasePath = (folder: string) => join(folder, 'batches.sqlite')

/**
 * Opens the database in a folder, which it makes, and keeps every other process out of it until it is closed or this
 * process ends. Throws `busy` where another has it.
 */
export async function openDatabase(folder: string): Promise<DatabaseSync> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  // Loaded only where there are batches: it costs every start some milliseconds.
  const { DatabaseSync } = await import('node:sqlite')
  const path = databasePath(folder)
  const database = new DatabaseSync(path)
  try {
    // Exclusive before the first access, so that no shared memory is needed.
    database.exec('PRAGMA locking_mode = EXCLUSIVE')
    database.exec('PRAGMA auto_vacuum = INCREMENTAL')
    database.exec('PRAGMA journal_mode = WAL')
    // A killed process loses nothing so; a power cut may lose the last answers, which are then asked again.
    database.exec('PRAGMA synchronous = NORMAL')
    database.exec('BEGIN EXCLUSIVE')
    prepareTables(database, path)
    database.exec('COMMIT')
    return database
  } catch (thrown) {
    database.close()
    throw asOpenError(thrown, path)
  }
}

function prepareTables(database: DatabaseSync, path: string): void {
  const { user_version: found } = database.prepare('PRAGMA user_version').get() ?? {}
  if (found === version) return
  if (found !== 0) {
    const words = `${path} has version ${found}, this Drover knows ${version}: start the newer one, or move it away`
    throw new DroverError('store_unreadable', words)
  }
  database.exec(tables)
  database.exec(`PRAGMA user_version = ${version}`)
}

function asOpenError(thrown: unknown, path: string): unknown {
  if (thrown instanceof DroverError) return thrown
  const code = sqliteCode(thrown)
  if (code === sqliteBusy) {
    return new DroverError('busy', 'the batches are kept by another Drover that has the same folder')
  }
  const reason = thrown instanceof Error ? thrown.message : String(thrown)
  return new DroverError(
    'store_unreadable',
    `${path} cannot be opened (${reason}): repair it, or move it away`,
    {
      cause: thrown,
    },
  )
}

const sqliteBusy = 5
const sqliteFull = 13

/** SQLite's primary result code of an error; undefined where it is none of SQLite's. */
function sqliteCode(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !('errcode' in thrown) || typeof thrown.errcode !== 'number')
    return undefined
  // The upper bits tell more exactly what happened.
  return thrown.errcode & 0xff
}

/** Whether there was no room for it on the disk. */
export function isDiskFull(thrown: unknown): boolean {
  if (sqliteCode(thrown) === sqliteFull) return true
  return thrown instanceof Error && 'code' in thrown && (thrown.code === 'ENOSPC' || thrown.code === 'EDQUOT')
}
