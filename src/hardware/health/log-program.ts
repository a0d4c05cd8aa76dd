import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Clock } from '../../core/index.ts'
import type { Following, LineSink } from './following.ts'

/** A program that prints the kernel's log and goes on printing it. */
export interface LogProgram {
  name: string
  args: readonly string[]
  /** It prints the newest old line first. That it may read the log is seen by that, since the journal's says so poorly. */
  printsLast: boolean
}

/** A program that ends sooner was refused; later, it was ended by something else and is started again. */
const triedMs = 5000
const againMs = 5000

/** The old line must come within this time. */
const proofMs = 3000

/** Words of `journalctl` and `dmesg` for a log that this user may not read; the former goes on following nothing. */
const refusal =
  /not seeing messages|insufficient permission|not permitted|permission denied|no journal files/i

/** Follows a program's output until it is refused or closed; then no process of it is left. */
export function followProgram(
  { name, args, printsLast }: LogProgram,
  clock: Clock,
  sink: LineSink,
): Following {
  let child: ChildProcess | undefined
  let cancel: () => void = () => undefined
  let closed = false

  const stop = () => {
    closed = true
    cancel()
    child?.kill('SIGKILL')
  }
  const refuse = (reason: string) => {
    if (closed) return
    stop()
    sink.end(reason)
  }
  const start = () => {
    const startedMs = clock.monotonicMs()
    let proven = !printsLast
    let said = ''
    const running = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    child = running
    if (!proven) cancel = clock.after(proofMs, () => refuse('it shows nothing of the kernel log'))
    running.on('error', (error) => refuse(error.message))
    running.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-500)
      if (refusal.test(said)) refuse(firstLine(said))
    })
    createInterface({ input: running.stdout }).on('line', (line) => {
      if (closed) return
      if (proven) return sink.line(line)
      proven = true
      cancel()
    })
    running.on('close', (code) => {
      if (closed) return
      cancel()
      const early = clock.monotonicMs() - startedMs < triedMs
      if (early) refuse(firstLine(said) || `it ended with exit code ${code}`)
      else cancel = clock.after(againMs, start)
    })
  }

  start()
  return { close: stop }
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? ''
}
