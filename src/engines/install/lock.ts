import { link, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomId } from '../../core/index.ts'

const pollMs = 200

/**
 * Runs `action` while no other process on this machine holds the lock file. A lock whose process has died is
 * taken over.
 */
export async function withLock<T>(
  lockPath: string,
  signal: AbortSignal | undefined,
  action: () => Promise<T>,
): Promise<T> {
  const mine = `${lockPath}.${process.pid}.${randomId(8)}`
  // Written first and linked then, so that a lock never exists without its owner's process id in it.
  await writeFile(mine, `${process.pid}\n`)
  try {
    while (!(await tryLink(mine, lockPath))) {
      if (!(await removeStale(lockPath))) await sleep(pollMs, undefined, signal ? { signal } : {})
    }
    try {
      return await action()
    } finally {
      await rm(lockPath, { force: true })
    }
  } finally {
    await rm(mine, { force: true })
  }
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Removes the lock of a dead process; true when the lock may be free now. */
async function removeStale(lockPath: string): Promise<boolean> {
  try {
    if (isAlive(Number(await readFile(lockPath, 'utf8')))) return false
    const aside = `${lockPath}.stale.${randomId(8)}`
    await rename(lockPath, aside)
    const stale = !isAlive(Number(await readFile(aside, 'utf8')))
    // Between reading and renaming another process may have taken the lock over: then it gets it back.
    if (!stale) await tryLink(aside, lockPath)
    await unlink(aside)
    return stale
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true
    throw error
  }
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
