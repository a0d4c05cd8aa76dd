import { DroverError } from '../../inference/index.ts'
import { watchAttached } from '../attached-watch.ts'
import type { InstanceExit } from '../contract.ts'
import { createClient, wordsOf } from './client.ts'
import { serverVersion } from './probe.ts'
import type { OllamaServer } from './server.ts'

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
  watchAttached(() => serverVersion(client), left.signal).then((exit) => {
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

/** Without the password that it may carry. */
export function shown(url: string): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname.replace(/\/+$/, '')
}
