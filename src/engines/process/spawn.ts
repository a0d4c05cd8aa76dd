import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { DroverError } from '../../inference/index.ts'
import { startGuardian } from './guardian.ts'
import { pinned } from './pin.ts'

export interface ProcessExit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface GuardedProcess {
  readonly pid: number
  /** Resolves when the process has ended and its output has been read; never rejects. */
  readonly exited: Promise<ProcessExit>
  /** Sends a signal to the process and all that it started. */
  signal(name: NodeJS.Signals): void
  /** SIGTERM, then SIGKILL when it has not ended within `graceMs`; resolves when it has ended. */
  terminate(graceMs: number): Promise<void>
}

/** Where what a program prints goes: to a listener, or straight into an open file. */
type Output = { onOutput(chunk: Buffer): void; outputFd?: never } | { outputFd: number; onOutput?: never }

/** Waits for Drover's word before it becomes the program, so that none ever runs without a guardian. */
const launcher = 'read -r _ <&3 || exit 125; exec 3<&-; exec "$0" "$@"'

/**
 * Starts a program in a process group of its own under a guardian: when Drover ends in whatever way, SIGKILL
 * too, the group is ended and `removePaths` are deleted. Throws `engine_unavailable` when no process starts;
 * a program that cannot be executed exits with code 126 or 127.
 */
export function spawnGuarded(
  options: {
    file: string
    args: readonly string[]
    env?: NodeJS.ProcessEnv
    /** Cores that it and all that it starts are held to; see `pinned`. */
    cores?: readonly number[] | undefined
    removePaths: readonly string[]
  } & Output,
): GuardedProcess {
  const guardian = startGuardian(options.removePaths)
  const [file, ...args] = pinned([options.file, ...options.args], options.cores)
  const output = options.outputFd ?? 'pipe'
  const child = spawn('/bin/sh', ['-c', launcher, file ?? '', ...args], {
    detached: true,
    stdio: ['ignore', output, output, 'pipe'],
    ...(options.env && { env: options.env }),
  })
  const { pid } = child
  if (pid === undefined) {
    guardian.dismiss()
    child.on('error', () => undefined)
    throw new DroverError('engine_unavailable', `the process of ${options.file} could not be started`)
  }
  let ended = false
  child.on('exit', () => {
    ended = true
    guardian.dismiss()
  })
  const exited = new Promise<ProcessExit>((resolve) => {
    child.on('close', (code, signal) => {
      resolve({ code, signal })
    })
  })
  child.on('error', (error) => process.emitWarning(`${options.file}: ${error.message}`))
  if (options.onOutput) {
    child.stdout?.on('data', options.onOutput)
    child.stderr?.on('data', options.onOutput)
  }
  guardian.watch(pid)
  const goAhead = child.stdio[3]
  if (goAhead && 'end' in goAhead) {
    // Where the shell is already gone, its exit tells it.
    goAhead.on('error', () => undefined)
    goAhead.end('go\n')
  }

  const signal = (name: NodeJS.Signals) => {
    // Afterwards the number may be another process's.
    if (ended) return
    try {
      process.kill(-pid, name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  return {
    pid,
    exited,
    signal,
    terminate: async (graceMs) => {
      signal('SIGTERM')
      const graceOver = new AbortController()
      const timer = sleep(graceMs, 'late', { signal: graceOver.signal }).catch(() => 'ended')
      if ((await Promise.race([exited, timer])) === 'late') signal('SIGKILL')
      graceOver.abort()
      await exited
    },
  }
}
