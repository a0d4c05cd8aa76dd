import { mkdir, rm, stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { DroverError } from '../inference/index.ts'
import type { SavedSession } from './session-store.ts'

/** The file's name in the folder of sessions. Throws for a path elsewhere. */
export function sessionFileName(path: string, dir: string): string {
  if (dirname(resolve(path)) === resolve(dir)) return basename(path)
  throw new DroverError('engine_failed', `a session has to lie in ${dir}, which ${path} does not`)
}

/** Throws `engine_failed` for a session that these instances cannot read, or one that is not as it was written. */
export async function checkSession(saved: SavedSession, fingerprint: string): Promise<void> {
  if (saved.fingerprint !== fingerprint) {
    throw new DroverError(
      'engine_failed',
      `the session ${saved.path} is of another model, engine build, context or KV cache type: compute the prompt anew`,
    )
  }
  const bytes = await sizeOf(saved.path)
  if (bytes === saved.bytes) return
  throw new DroverError(
    'engine_failed',
    `the session ${saved.path} has ${bytes ?? 'no'} bytes and not ${saved.bytes}: compute the prompt anew`,
  )
}

/**
 * Has a session written by `write` (undefined: there was nothing to write); nothing is left of one that failed, or is
 * not as long as was said.
 */
export async function writeSession<T extends { tokens: number; bytes: number } | undefined>(
  path: string,
  write: () => Promise<T>,
): Promise<T> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const written = await write()
    if (written === undefined) return written
    const bytes = await sizeOf(path)
    if (bytes !== written.bytes) throw new Error(`${bytes ?? 0} of ${written.bytes} bytes were written`)
    return written
  } catch (error) {
    await rm(path, { force: true })
    const message = error instanceof Error ? error.message : String(error)
    throw new DroverError('engine_failed', `the session ${path} could not be saved: ${message}`, {
      cause: error,
    })
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path, { throwIfNoEntry: false }))?.size
}
