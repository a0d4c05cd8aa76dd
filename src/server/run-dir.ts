import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const prefix = 'drover-'

/** A folder for sockets and temporary files of this process; its name says whose it is. */
export function createRunDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`))
}

/** Removes folders that processes which no longer live have left behind. */
export async function sweepRunDirs(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = Number(/^drover-(\d+)-/.exec(name)?.[1])
    if (pid > 0 && pid !== process.pid && !isAlive(pid)) {
      await rm(join(tmpdir(), name), { recursive: true, force: true })
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Another user's process is alive, only not ours to signal.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
