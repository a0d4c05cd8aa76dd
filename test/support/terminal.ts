import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { until, withoutSettings } from './drover.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const drover = `'${process.execPath}' '${join(root, 'bin/drover.js')}'`

/** A program on a terminal of its own, 80 columns wide, as a person sits before it. */
export interface TestTerminal {
  process: ChildProcess
  type(text: string): void
  /** Everything that was written to it, control sequences left out. */
  text(): string
  /** The same with them. */
  raw(): string
  /** Waits until `text` appears after everything that was waited for before; resolves to what came until then. */
  sees(text: string | RegExp): Promise<string>
  exited: Promise<number | null>
}

/**
 * Runs a shell command line on a pseudo terminal (`script` of util-linux), with `drover` as a function that runs it from
 * the sources.
 */
export function openTerminal(command: string, env: Record<string, string>): TestTerminal {
  const line = `stty cols 80 rows 24; drover() { ${drover} "$@"; }; ${command}`
  const child = spawn('sh', ['-c', 'exec script -qefc "$1" /dev/null', 'sh', line], {
    env: { ...withoutSettings(process.env), TERM: 'xterm', SHELL: '/bin/sh', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let raw = ''
  let seen = 0
  child.stdout.setEncoding('utf8').on('data', (data: string) => {
    raw += data
  })
  const text = () => stripVTControlCharacters(raw).replaceAll(/\r+\n/g, '\n')
  return {
    process: child,
    type: (typed) => void child.stdin.write(typed),
    text,
    raw: () => raw,
    sees: async (wanted) => {
      const find = () => {
        const rest = text().slice(seen)
        const match =
          typeof wanted === 'string' ? { index: rest.indexOf(wanted), 0: wanted } : wanted.exec(rest)
        return match && match.index >= 0 ? match.index + match[0].length : undefined
      }
      await until(
        `${wanted} on the terminal, where there is:\n${text().slice(seen)}`,
        30_000,
        () => find() !== undefined,
      )
      const start = seen
      seen += find() ?? 0
      return text().slice(start, seen)
    },
    exited: new Promise((resolve) => child.once('close', resolve)),
  }
}
