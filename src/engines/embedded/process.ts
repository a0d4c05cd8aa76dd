import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The last of what a process wrote, for the reason of its end. */
const keptOutput = 16_384

/** A process of the embedded engine, which ends when Drover does. */
export interface EngineProcess {
  child: ChildProcess
  /** Exit code or signal. */
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  /** The end of what it wrote to stderr. */
  output(): string
}

/** Starts one of this folder's programs in a process of its own, with a channel for structured messages. */
export function startProcess(
  program: 'child' | 'discover',
  onOutput: () => void = () => undefined,
): EngineProcess {
  const child = fork(fileURLToPath(new URL(`./${program}.ts`, import.meta.url)), [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  let output = ''
  child.stderr?.on('data', (data) => {
    output = (output + data).slice(-keptOutput)
    onOutput()
  })
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', (error) => {
      output += `\n${error.message}`
      resolve({ code: null, signal: null })
    })
  })
  return { child, exited, output: () => output }
}
