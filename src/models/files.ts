import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { DroverError } from '../inference/index.ts'

/** Temporary files of the store begin so; nothing that Ollama writes does. */
const temporaryPrefix = '.drover-'

/** A temporary file older than this was left by a process that died. */
const staleMs = 60 * 60 * 1000

/** The system's code of an error (`ENOENT`), if it has one. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Whether the path is simply not there; `ENOTDIR` where a part of it is a file. */
export function isMissing(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** The error to show when the store cannot be used, with what to do about it. */
export function storeUnreadable(path: string, error: unknown): DroverError {
  const advice: Record<string, string> = {
    EACCES: 'give this user the right to use it, or set OLLAMA_MODELS to a folder that it may use',
    EPERM: 'give this user the right to use it, or set OLLAMA_MODELS to a folder that it may use',
    EROFS: 'it is on a read-only file system: set OLLAMA_MODELS to a folder that can be written',
    ENOTDIR: 'it is not a folder: set OLLAMA_MODELS to one',
    EEXIST: 'it is not a folder: set OLLAMA_MODELS to one',
    ENOSPC: 'the disk is full: free some space, or set OLLAMA_MODELS to a folder on another disk',
  }
  const reason = error instanceof Error ? error.message : String(error)
  const what = advice[codeOf(error) ?? ''] ?? 'check the disk, or set OLLAMA_MODELS to another folder'
  return new DroverError('store_unreadable', `model store ${path} cannot be used (${reason}): ${what}`, {
    cause: error,
  })
}

/** A store may lie on a disk that several machines share. */
const machine = hostname().replace(/[^A-Za-z0-9.-]/g, '')

/**
 * Path of a temporary file beside what it will become, so that it can be renamed there. It names its process: what a
 * process that has died left is removed as soon as somebody looks.
 */
export function temporaryPath(folder: string): string {
  return join(folder, `${temporaryPrefix}${process.pid}@${machine}_${randomUUID()}`)
}

/** Whether the process that a temporary file names is known to have died. */
function isOrphan(name: string): boolean {
  const [, pid, host] = /^\.drover-(\d+)@([^_]*)_/.exec(name) ?? []
  if (pid === undefined || host !== machine || Number(pid) === process.pid) return false
  try {
    process.kill(Number(pid), 0)
    return false
  } catch (error) {
    return codeOf(error) === 'ESRCH'
  }
}

/**
 * Writes a file so that others see the old one or the whole new one, also after a power cut. Makes its folders.
 */
export async function writeAtomically(path: string, content: string | Buffer): Promise<void> {
  const folder = dirname(path)
  await mkdir(folder, { recursive: true })
  const temporary = temporaryPath(folder)
  try {
    const file = await open(temporary, 'wx', 0o644)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncFolder(folder)
  } finally {
    await rm(temporary, { force: true })
  }
}

/** Makes a rename in a folder lasting. Some systems cannot sync a folder; there the rename is as lasting as it gets. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } catch (error) {
    if (codeOf(error) !== 'EINVAL' && codeOf(error) !== 'ENOTSUP') throw error
  } finally {
    await handle.close()
  }
}

/** Removes temporary files that processes which died left in a folder. */
export async function sweepTemporary(folder: string, nowMs: number): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(temporaryPrefix)) continue
    const path = join(folder, name)
    const age = await stat(path).then(
      ({ ctimeMs }) => nowMs - ctimeMs,
      // Another process has just finished with it.
      () => 0,
    )
    if (age > staleMs || isOrphan(name)) await rm(path, { recursive: true, force: true })
  }
}
