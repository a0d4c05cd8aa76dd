import { readFile } from 'node:fs/promises'
import type { GuardedProcess } from '../process/index.ts'
import { findFailure, type Log, type LoggedFailure } from './log.ts'

/** Waits for the process's end and tells how it came, from exit code or signal, the log and the system. */
export type ExitReport = (
  during: 'loading' | 'running',
) => Promise<{ kind: LoggedFailure['kind']; reason: string; killed: boolean }>

/** Call it when the process has just started: it counts what the system kills from then on. */
export async function createExitReport(child: GuardedProcess, log: Pick<Log, 'text'>): Promise<ExitReport> {
  const killedBefore = await countOomKills()
  return async (during) => {
    const { code, signal } = await child.exited
    const { kind, words } = findFailure(log.text(), during === 'loading')
    const how = signal ? `signal ${signal}` : `exit code ${code}`
    if (signal === 'SIGKILL' && (await countOomKills()) > killedBefore) {
      const reason = `the system killed it because memory ran out (${how})`
      return { kind: 'out_of_memory', reason, killed: true }
    }
    const killed = signal === 'SIGKILL' || signal === 'SIGTERM'
    return { kind, reason: words && code !== 0 ? `${readable(words)} (${how})` : how, killed }
  }
}

const longestWords = 500

/** A line of a log for people: without control characters, and no longer than it has to be. */
function readable(words: string): string {
  const text = words.replace(/[\p{Cc}\uFFFD]+/gu, ' ').trim()
  return text.length > longestWords ? `${text.slice(0, longestWords)}…` : text
}

/** How many processes the system has killed for want of memory since it started; 0 where it does not say. */
async function countOomKills(): Promise<number> {
  if (process.platform !== 'linux') return 0
  try {
    return Number(/^oom_kill (\d+)/m.exec(await readFile('/proc/vmstat', 'utf8'))?.[1] ?? 0)
  } catch {
    // Some containers hide it.
    return 0
  }
}
