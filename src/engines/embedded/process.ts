import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { InstanceExit } from '../contract.ts'
import { pinned } from '../process/index.ts'
import { memoryWords } from './memory-words.ts'

/** The last of what a process wrote, for the reason of its end. */
const keptOutput = 16_384

/** A process of the embedded engine, which ends when Drover does. */
export interface EngineProcess {
  child: ChildProcess
  /** Resolves when the process is gone and its output read; never rejects. Its kind is never `closed`. */
  exited: Promise<InstanceExit>
  /** The end of what it wrote to stderr. */
  output(): string
}

interface ProcessOptions {
  env?: Readonly<Record<string, string>> | undefined
  cores?: readonly number[] | undefined
  onOutput?: () => void
}

/**
 * Starts one of this folder's programs in a process of its own, with a channel for structured messages.
 * `env` comes on top of Drover's environment; `cores` are those it is held to.
 */
export function startProcess(
  program: 'child' | 'discover',
  { env, cores, onOutput }: ProcessOptions = {},
): EngineProcess {
  const killsBefore = memoryKills()
  const command = pinned([process.execPath, '--disable-warning=ExperimentalWarning'], cores)
  const [execPath = process.execPath, ...execArgv] = command
  const child = fork(fileURLToPath(new URL(`./${program}.ts`, import.meta.url)), [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execPath,
    execArgv,
    env: { ...process.env, ...env },
  })
  let output = ''
  child.stderr?.on('data', (data) => {
    output = (output + data).slice(-keptOutput)
    onOutput?.()
  })
  const exited = new Promise<InstanceExit>((resolve) => {
    child.once('close', (code, signal) => resolve(explain(code, signal, output, memoryKills() > killsBefore)))
    child.on('error', (error) => {
      // A process that never was has no end; that of another is told by its exit.
      if (child.pid === undefined) resolve({ kind: 'crashed', reason: error.message })
    })
  })
  return { child, exited, output: () => output }
}

/** The settings by which CUDA and Vulkan show one device of those they would show. */
export function onlyDevice(index: number, env: NodeJS.ProcessEnv): Record<string, string> {
  const names = ['CUDA_VISIBLE_DEVICES', 'GGML_VK_VISIBLE_DEVICES']
  return Object.fromEntries(names.map((name) => [name, env[name]?.split(',')[index] ?? String(index)]))
}

function explain(
  code: number | null,
  signal: NodeJS.Signals | null,
  output: string,
  killedForMemory: boolean,
): InstanceExit {
  const how = signal ? `signal ${signal}` : `exit code ${code}`
  const words = output.trim().split('\n').at(-1) ?? ''
  if (signal === 'SIGKILL' && killedForMemory) {
    const reason = `the kernel ended it because memory ran out (${how})`
    return { kind: 'out_of_memory', reason, killed: true }
  }
  const kind = memoryWords.test(output) ? 'out_of_memory' : 'crashed'
  const killed = signal === 'SIGKILL' || signal === 'SIGTERM'
  return { kind, reason: words === '' ? how : `${words} (${how})`, killed }
}

/** How many processes Linux has killed because memory ran out, since it started; 0 on other systems. */
function memoryKills(): number {
  if (process.platform !== 'linux') return 0
  try {
    return Number(/^oom_kill (\d+)/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0)
  } catch {
    // Some containers hide it: then a kill is reported as one.
    return 0
  }
}
