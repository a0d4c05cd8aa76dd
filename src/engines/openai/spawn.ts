import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomHex } from '../../core/index.ts'
import { DroverError } from '../../inference/index.ts'
import type { InstanceExit, InstanceSpec } from '../contract.ts'
import { createExitReport } from '../llamacpp/exit-report.ts'
import { freePort } from '../llamacpp/free-port.ts'
import { createLog, type Log } from '../llamacpp/log.ts'
import { type GuardedProcess, groupActivity, spawnGuarded } from '../process/index.ts'
import { createClient } from './client.ts'
import type { Dialect } from './dialect.ts'
import { exitKind, explainEnd, type ServerFailure } from './failure.ts'
import type { OpenAiServer } from './server.ts'

const mostPortAttempts = 5
const longestPollMs = 250
/** How long a process that has broken a connection may take to be seen as ended. */
const endNoticeMs = 1_000
/** Reading `/proc` of all processes is not for every poll. */
const activityEveryMs = 2_000

/** How a server is started; `port`, `folder` and `apiKey` are chosen for each try. */
export interface ServerCommand {
  argv: readonly string[]
  env?: Readonly<Record<string, string>>
  /** Where the program is to run; its own folder where nothing is said. */
  cwd?: string
  /** Written into `folder` before it starts. */
  files?: Readonly<Record<string, string>>
  /** Where it will publish the events of its KV cache. */
  kvEvents?: string
}

export interface Place {
  port: number
  /** Only this user can read it; it is deleted with the process. */
  folder: string
  apiKey: string
}

export interface SpawnOptions {
  spec: InstanceSpec
  dialect: Dialect
  command(place: Place): ServerCommand
  runDir: string
  log(message: string): void
}

/** A server of Drover's own. */
export interface SpawnedServer extends OpenAiServer {
  /** What it printed. */
  output: Log
}

/**
 * Starts a server on a free port and waits until it is healthy. It has as long as it shows signs of life (log, work of
 * any of its processes). Throws `insufficient_memory`, `load_failed`, `load_stalled`, or the signal's reason; nothing of
 * a failed start is left.
 */
export async function spawnServer(options: SpawnOptions, signal: AbortSignal): Promise<SpawnedServer> {
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted()
    const server = await start(options)
    try {
      await untilHealthy(server, options, signal)
      return server
    } catch (error) {
      await server.stop(0)
      const taken = error instanceof AddressInUse
      if (!taken || attempt >= mostPortAttempts) {
        throw taken ? new DroverError('load_failed', `${error.message}, ${attempt} times`) : error
      }
    }
  }
}

class AddressInUse extends Error {}

type StartedServer = SpawnedServer & {
  process: GuardedProcess
  explain(during: 'loading' | 'running'): Promise<ServerFailure>
}

async function start({ spec, dialect, command, runDir, log }: SpawnOptions): Promise<StartedServer> {
  const folder = join(runDir, `${spec.id}-${randomHex(4)}`)
  const port = await freePort(spec.port)
  const apiKey = randomHex(32)
  const { argv, env, cwd, files = {}, kvEvents } = command({ port, folder, apiKey })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), content, { mode: 0o600 })
  }
  const output = createLog()
  const [file = '', ...args] = argv
  const child = spawnGuarded({
    ...inFolder(cwd, file, args),
    env: { ...surroundings(), TMPDIR: folder, ...spec.env, ...env },
    cores: spec.cores,
    removePaths: [folder],
    onOutput: (chunk) => output.append(chunk),
  })
  const report = await createExitReport(child, output)
  const explain = (during: 'loading' | 'running') => explainEnd(report, output.text, during)
  const url = `http://127.0.0.1:${port}`
  const client = createClient({ url, apiKey })
  let killed: string | undefined
  let stopping = false
  const gone = (async (): Promise<InstanceExit> => {
    const failure = await explain('running')
    await client.close()
    await rm(folder, { recursive: true, force: true })
    if (stopping) return { kind: 'closed', reason: failure.reason }
    if (killed !== undefined) return { kind: 'hung', reason: killed }
    log(`${dialect.title} at ${url} ended: ${failure.reason}`)
    return { kind: exitKind(failure), reason: failure.reason, killed: failure.killed }
  })()
  return {
    title: `${dialect.title} at ${url}`,
    client,
    dialect,
    ...(kvEvents !== undefined && { kvEvents }),
    pid: child.pid,
    process: child,
    output,
    explain,
    gone,
    endedNow: () => Promise.race([gone, sleep(endNoticeMs, undefined, { ref: false })]),
    kill(reason) {
      killed ??= reason
      child.signal('SIGKILL')
    },
    async stop(graceMs) {
      stopping = true
      await child.terminate(graceMs)
      await gone
    },
  }
}

/** TabbyAPI reads files beside its program. */
function inFolder(cwd: string | undefined, file: string, args: readonly string[]) {
  if (cwd === undefined) return { file, args }
  return { file: '/bin/sh', args: ['-c', 'cd "$0" && exec "$@"', cwd, file, ...args] }
}

/** Settings of Drover's own are about this process. */
function surroundings(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('DROVER_')))
}

async function untilHealthy(
  server: StartedServer,
  { spec }: SpawnOptions,
  signal: AbortSignal,
): Promise<void> {
  let ended = false
  server.process.exited.then(() => {
    ended = true
  })
  const life = watchLife(server, Math.min(activityEveryMs, spec.stallTimeoutMs / 4))
  for (let waitMs = 10; ; waitMs = Math.min(longestPollMs, waitMs * 1.5)) {
    signal.throwIfAborted()
    if (ended) throw await launchFailure(server, spec)
    if (await isHealthy(server)) return
    const idleMs = await life()
    if (idleMs > spec.stallTimeoutMs) {
      const last = server.output.text().trim().split('\n').at(-1) || 'nothing'
      throw new DroverError(
        'load_stalled',
        `${server.dialect.title} showed no progress with ${spec.modelName} for ${Math.round(idleMs)} ms; its last ` +
          `words: ${last}`,
      )
    }
    await Promise.race([sleep(waitMs), server.process.exited])
  }
}

async function isHealthy({ client, dialect }: StartedServer): Promise<boolean> {
  try {
    await client.json('GET', dialect.healthPath)
    return true
  } catch {
    // Nothing listens yet, or it says that it is not ready; an end is told by the process.
    return false
  }
}

/** Milliseconds since the last output, or work of any of its processes. */
function watchLife({ pid, output }: StartedServer, everyMs: number): () => Promise<number> {
  let mark = ''
  let lookedMs = 0
  let lastMs = performance.now()
  return async () => {
    const now = performance.now()
    if (now - lookedMs >= everyMs) {
      const current = await groupActivity(pid)
      if (current !== mark) lastMs = now
      mark = current
      lookedMs = now
    }
    return now - Math.max(lastMs, output.lastOutputMs)
  }
}

async function launchFailure(
  { explain, dialect }: StartedServer,
  { modelName }: InstanceSpec,
): Promise<Error> {
  const { kind, reason } = await explain('loading')
  if (kind === 'address_in_use') return new AddressInUse(reason)
  const codes = {
    out_of_memory: 'insufficient_memory',
    device_lost: 'engine_crashed',
    other: 'load_failed',
  } as const
  return new DroverError(codes[kind], `${dialect.title} ended while it loaded ${modelName}: ${reason}`)
}
