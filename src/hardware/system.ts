import { execFile } from 'node:child_process'
import { accessSync, closeSync, constants, openSync, readdirSync, readSync, realpathSync } from 'node:fs'
import type { HostSystem, ProgramResult } from './contract.ts'

const mostOutputBytes = 16 * 1024 * 1024
const mostFileBytes = 1024 * 1024
/** Reading is synchronous, so that one buffer serves every file. */
const chunk = Buffer.allocUnsafe(65_536)

/** This machine. */
export const hostSystem: HostSystem = {
  platform: process.platform,
  env: process.env,
  run,
  readText,
  list: (path) => {
    try {
      return readdirSync(path).sort()
    } catch {
      // Not there, or not for this user: the same to a probe.
      return []
    }
  },
  realPath: (path) => {
    try {
      return realpathSync(path)
    } catch {
      return undefined
    }
  },
  mayUse: (path) => {
    try {
      accessSync(path, constants.R_OK | constants.W_OK)
      return true
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : false
    }
  },
}

/** Programs are asked in English, whatever the user's language is: their words are read. */
function run(program: string, args: readonly string[], timeoutMs: number): Promise<ProgramResult> {
  return new Promise((resolve) => {
    execFile(
      program,
      args,
      {
        timeout: timeoutMs,
        // A driver that hangs lets its tool heed nothing else.
        killSignal: 'SIGKILL',
        maxBuffer: mostOutputBytes,
        env: { ...process.env, LC_ALL: 'C' },
      },
      (error, stdout, stderr) => {
        if (!error) return resolve({ outcome: 'ok', stdout, stderr, exitCode: 0 })
        if (error.code === 'ENOENT') return resolve({ outcome: 'missing', stdout, stderr })
        if (error.killed) return resolve({ outcome: 'timeout', stdout, stderr })
        const exitCode = typeof error.code === 'number' ? error.code : undefined
        const words = stderr || (exitCode === undefined ? error.message : '')
        resolve({ outcome: 'failed', stdout, stderr: words, ...(exitCode !== undefined && { exitCode }) })
      },
    )
  })
}

/** Kernel files tell no size, so reading goes on until they end or are too long to be one. */
function readText(path: string): string | undefined {
  let file: number | undefined
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    let text = ''
    while (text.length < mostFileBytes) {
      const count = readSync(file, chunk, 0, chunk.length, null)
      if (count === 0) break
      text += chunk.toString('latin1', 0, count)
    }
    return text
  } catch {
    // Not there, not for this user, or nothing behind it now: the same to a probe.
    return undefined
  } finally {
    if (file !== undefined) closeSync(file)
  }
}
