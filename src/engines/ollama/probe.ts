import { execFile } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { answerTimeoutMs } from '../attached-watch.ts'
import type { EngineProbe } from '../contract.ts'
import { createClient } from './client.ts'

/** The program starts no server for this; longer is a hang. */
const versionTimeoutMs = 15_000

/** An `ollama` program that says its version. */
export interface OllamaProgram {
  path: string
  version: string
}

/** Looks for the program: the configured path alone where there is one, else PATH. */
export async function findProgram(
  configured: string | undefined,
): Promise<OllamaProgram | { reason: string }> {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean)
  const candidates = configured ? [configured] : folders.map((folder) => join(folder, 'ollama'))
  const failures: string[] = []
  for (const path of candidates) {
    const found = await askProgram(path)
    if ('version' in found) return found
    if (!found.missing || configured) failures.push(`${path}: ${found.reason}`)
  }
  const found = failures.length > 0 ? failures.join('; ') : 'no ollama on the PATH'
  const advice = configured
    ? 'Correct the configured path, or remove it to let Drover look for itself.'
    : 'Install Ollama (https://ollama.com/download), or give the URLs of Ollamas that run already.'
  return { reason: `${found}. ${advice}` }
}

function askProgram(path: string): Promise<OllamaProgram | { reason: string; missing: boolean }> {
  if (isDrover(path)) {
    const reason = 'it is Drover itself, by another name: an engine has to be another program'
    return Promise.resolve({ reason, missing: false })
  }
  return new Promise((resolve) => {
    const options = { timeout: versionTimeoutMs, killSignal: 'SIGKILL' } as const
    execFile(path, ['--version'], options, (error, stdout, stderr) => {
      const version = versionOf(`${stdout}\n${stderr}`)
      if (version) return resolve({ path, version })
      const missing = error?.code === 'ENOENT'
      const silent = error?.killed
        ? `--version gave no answer within ${versionTimeoutMs / 1000} s`
        : undefined
      resolve({ reason: silent ?? error?.message ?? '--version names no version of Ollama', missing })
    })
  })
}

/** The program's own version: the first line may tell that of a server which runs somewhere. */
export function versionOf(output: string): string | undefined {
  return (/client version is (\S+)/.exec(output) ?? /ollama version is (\S+)/.exec(output))?.[1]
}

/** As its own engine Drover would start itself without end. */
function isDrover(path: string): boolean {
  try {
    return (
      realpathSync(path) === realpathSync(fileURLToPath(new URL('../../../bin/drover.js', import.meta.url)))
    )
  } catch {
    // What is not there is told by the attempt to run it.
    return false
  }
}

/** What running servers say of themselves: available where at least one answers. */
export async function probeAttached(urls: readonly string[]): Promise<EngineProbe> {
  const answers = await Promise.all(
    urls.map(async (url) => {
      const client = createClient(url)
      try {
        return { url, version: await serverVersion(client) }
      } catch (error) {
        return { url, reason: error instanceof Error ? error.message : String(error) }
      } finally {
        await client.close()
      }
    }),
  )
  const [first] = answers.flatMap(({ url, version }) => (version === undefined ? [] : [{ url, version }]))
  if (first)
    return { available: true, version: first.version, path: first.url, devices: [], flags: new Set() }
  const reasons = answers.map(({ url, reason }) => `${url}: ${reason}`).join('; ')
  return { available: false, reason: `no Ollama answers. ${reasons}. Start them, or correct their URLs.` }
}

/** `GET /api/version`, within two seconds. */
export async function serverVersion(client: {
  json(method: 'GET', path: string, body?: undefined, signal?: AbortSignal): Promise<unknown>
}): Promise<string> {
  const signal = AbortSignal.timeout(answerTimeoutMs)
  const { version } = (await client.json('GET', '/api/version', undefined, signal)) as { version?: unknown }
  if (typeof version === 'string') return version
  throw new Error('its /api/version tells no version')
}
