import { setTimeout as sleep } from 'node:timers/promises'
import { DroverError } from '../../inference/index.ts'
import type { InstanceExit } from '../contract.ts'
import { createClient, type OllamaClient, wordsOf } from './client.ts'
import { answerTimeoutMs, serverVersion } from './probe.ts'
import type { OllamaServer } from './server.ts'

const lookEveryMs = 1_000
/** So many looks in a row without an answer, and the server is gone. */
const mostFailures = 3

/**
 * Joins a server that runs already: an Ollama, or anything that speaks its API. While it is held it is asked for its
 * version every second. Throws `engine_unavailable` where it does not answer.
 */
export async function attach(url: string, signal: AbortSignal): Promise<OllamaServer> {
  const client = createClient(url)
  let version: string
  try {
    version = await serverVersion(client)
    signal.throwIfAborted()
  } catch (error) {
    await client.close()
    signal.throwIfAborted()
    throw new DroverError(
      'engine_unavailable',
      `the Ollama at ${shown(url)} does not answer: ${wordsOf(error)}`,
      {
        cause: error,
      },
    )
  }
  const left = new AbortController()
  let end: (exit: InstanceExit) => void = () => undefined
  const ended = new Promise<InstanceExit>((resolve) => {
    end = (exit) => {
      left.abort()
      resolve(exit)
    }
  })
  const gone = ended.then(async (exit) => {
    await client.close()
    return exit
  })
  watch(client, left.signal).then((exit) => {
    if (exit) end({ ...exit, reason: `the Ollama at ${shown(url)} ${exit.reason}` })
  })

  return {
    url: shown(url),
    client,
    version,
    pid: 0,
    gone,
    kill: (reason) => end({ kind: 'hung', reason }),
    forgetOutput: () => undefined,
    async stop() {
      end({ kind: 'closed', reason: 'let go' })
      await gone
    },
  }
}

/** Looks every second; resolves with how it stopped answering, or with nothing once the signal aborts. */
async function watch(client: OllamaClient, signal: AbortSignal): Promise<InstanceExit | undefined> {
  for (let failures = 0; ; ) {
    if (!(await waited(lookEveryMs, signal))) return undefined
    try {
      await serverVersion(client)
      failures = 0
    } catch (error) {
      if (++failures < mostFailures) continue
      const silent = error instanceof Error && error.name === 'TimeoutError'
      const how = silent ? `nothing within ${answerTimeoutMs / 1000} s` : wordsOf(error)
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

/** Without the password that it may carry. */
export function shown(url: string): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname.replace(/\/+$/, '')
}
