import { setTimeout as sleep } from 'node:timers/promises'
import type { InstanceExit } from './contract.ts'

const lookEveryMs = 1_000
/** So many looks in a row without an answer, and the server is gone. */
const mostFailures = 3
/** How long a server may take to answer a look. */
export const answerTimeoutMs = 2_000

/**
 * Looks after a server that is not Drover's every second; resolves with how it stopped answering (the reason begins with
 * a verb: `did not answer ...`), or with nothing once the signal aborts.
 */
export async function watchAttached(
  look: (signal: AbortSignal) => Promise<unknown>,
  signal: AbortSignal,
): Promise<InstanceExit | undefined> {
  for (let failures = 0; ; ) {
    if (!(await waited(lookEveryMs, signal))) return undefined
    const limit = AbortSignal.timeout(answerTimeoutMs)
    try {
      await look(limit)
      failures = 0
    } catch (error) {
      if (++failures < mostFailures) continue
      const { code = '', name, message } = error as { code?: unknown; name?: string; message?: string }
      const silent = limit.aborted || name === 'TimeoutError'
      const how = silent ? `nothing within ${answerTimeoutMs / 1000} s` : message || code
      return {
        kind: silent ? 'hung' : 'crashed',
        reason: `did not answer ${mostFailures} times in a row: ${how}`,
      }
    }
  }
}

async function waited(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, true, { signal, ref: false })
    return true
  } catch {
    // Only the abort ends it early.
    return false
  }
}
