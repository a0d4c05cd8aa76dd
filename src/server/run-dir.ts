import { readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomHex } from '../core/index.ts'

const prefix = 'drover-'

/**
 * Where sockets and temporary files of this process lie; the name says whose they are, and cannot be guessed. An
 * engine that needs the folder makes it.
 */
export function runDirPath(): string {
  return join(tmpdir(), `${prefix}${process.pid}-${randomHex(8)}`)
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
