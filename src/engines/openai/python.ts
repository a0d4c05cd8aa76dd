import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

/** Such a program imports gigabytes of libraries before it says a word. */
const answerTimeoutMs = 120_000

/** Runs a program to its end; its stdout and stderr together. Throws where it fails, with its last words. */
export function outputOf(command: readonly string[], args: readonly string[]): Promise<string> {
  const [file = '', ...first] = command
  return new Promise((resolve, reject) => {
    const options = { timeout: answerTimeoutMs, killSignal: 'SIGKILL', maxBuffer: 16 * 1024 * 1024 } as const
    execFile(file, [...first, ...args], options, (error, stdout, stderr) => {
      if (!error) return resolve(`${stdout}\n${stderr}`)
      const last = stderr.trim().split('\n').at(-1)
      reject(
        error.killed
          ? new Error(`no answer within ${answerTimeoutMs / 1000} s`)
          : new Error(last || error.message),
      )
    })
  })
}

/** The program of this name on the PATH. */
export async function onPath(name: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter).filter(Boolean)) {
    const path = join(folder, name)
    if (await isExecutable(path)) return path
  }
  return undefined
}

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The interpreter on the PATH. */
export async function findPython(): Promise<string | undefined> {
  return (await onPath('python3')) ?? (await onPath('python'))
}

/** The version of an installed package, without importing it; undefined where it is not installed. */
export async function packageVersion(python: string, name: string): Promise<string | undefined> {
  const question = `import importlib.metadata as m\ntry: print(m.version(${JSON.stringify(name)}))\nexcept m.PackageNotFoundError: print()`
  const answer = await outputOf([python], ['-c', question])
  return answer.trim().split('\n')[0] || undefined
}

/** Every long flag that a help text names. */
export function flagsIn(help: string): ReadonlySet<string> {
  return new Set([...help.matchAll(/(?<![\w-])--[a-zA-Z][\w-]*/g)].map(([flag]) => flag))
}
