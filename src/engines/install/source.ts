import { execFile } from 'node:child_process'
import { access, chmod, constants, mkdir, readdir, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

/** What an installation is doing; `doneBytes` of `totalBytes`, or `percent`, where it is known. */
export interface InstallProgress {
  phase: 'index' | 'download' | 'unpack' | 'check'
  message: string
  percent?: number
}

export interface ObtainContext {
  onProgress(progress: InstallProgress): void
  signal?: AbortSignal | undefined
}

/** A place where llama.cpp can be had. */
export interface EngineSource {
  /** For messages: `Debian packages`. */
  name: string
  /**
   * Fills the existing empty folder `target`, so that `target/bin/llama-server` and its companions run from wherever
   * the folder is moved to. Throws an `Error` that says why it cannot; what it left in `target` is then deleted.
   */
  obtain(target: string, context: ObtainContext): Promise<void>
}

const execFilePromise = promisify(execFile)

/** Runs a program to its end and returns what it printed; an error carries the last lines of its stderr. */
export async function run(
  file: string,
  args: readonly string[],
  options: { signal?: AbortSignal | undefined; timeoutMs: number; onStdout?: (text: string) => void },
): Promise<string> {
  const promise = execFilePromise(file, args, {
    ...(options.signal && { signal: options.signal }),
    timeout: options.timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: 64 * 1024 * 1024,
    // Messages are parsed: they have to be the untranslated ones.
    env: { ...process.env, LC_ALL: 'C' },
  })
  const { onStdout } = options
  if (onStdout) promise.child.stdout?.on('data', (chunk) => onStdout(String(chunk)))
  try {
    return (await promise).stdout
  } catch (error) {
    options.signal?.throwIfAborted()
    throw new Error(`${file}: ${whyFailed(error, options.timeoutMs)}`, { cause: error })
  }
}

function whyFailed(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error)
  const { stderr, stdout, killed, code } = error as Error & {
    stderr?: string
    stdout?: string
    killed?: boolean
    code?: number | string
  }
  if (killed) return `gave no result within ${timeoutMs / 1000} s`
  const lastLines = (stderr?.trim() || stdout?.trim() || error.message).split('\n').slice(-3).join('; ')
  return typeof code === 'number' ? `exit code ${code}: ${lastLines}` : lastLines
}

/** The program's full path, looked up on PATH. */
export async function findOnPath(program: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const candidate = join(folder, program)
    if (folder && (await isExecutable(candidate))) return candidate
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

/**
 * Writes `target/bin/<tool>`, a shell script that becomes the tool. `$root` in the command is the installed
 * folder, found from the script's own place, links followed, so that the folder may be moved.
 */
export async function writeWrapper(target: string, tool: string, command: string): Promise<void> {
  const script = join(target, 'bin', tool)
  await mkdir(join(target, 'bin'), { recursive: true })
  await writeFile(
    script,
    `#!/bin/sh
self=$0
while [ -L "$self" ]; do
  link=$(readlink "$self")
  case $link in
    /*) self=$link ;;
    *) self=\${self%/*}/$link ;;
  esac
done
root=$(CDPATH= cd -- "\${self%/*}/.." && pwd -P) || exit 127
exec ${command} "$@"
`,
  )
  await chmod(script, 0o755)
}

/** Whether a GPU's device node is there: only then is a GPU back-end worth its size. Linux only. */
export async function hasGpuDevice(): Promise<boolean> {
  for (const [folder, pattern] of [
    ['/dev/dri', /^renderD/],
    ['/dev', /^nvidia\d/],
  ] as const) {
    try {
      if ((await readdir(folder)).some((name) => pattern.test(name))) return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return false
}
