import { mkdir, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomHex } from '../../core/index.ts'
import { DroverError } from '../../inference/index.ts'
import type { InstanceExit, InstanceSpec } from '../contract.ts'
import { createExitReport, type ExitReport } from '../llamacpp/exit-report.ts'
import { createLog, type Log } from '../llamacpp/log.ts'
import { type GuardedProcess, spawnGuarded } from '../process/index.ts'
import { createClient, type OllamaClient } from './client.ts'
import { serverVersion } from './probe.ts'
import type { OllamaServer, ServerOptions } from './server.ts'

/** How far from the first port one that is free is looked for. */
const portsTried = 100
const longestPollMs = 100

interface SpawnOptions
  extends Pick<ServerOptions, 'findProgram' | 'modelsDir' | 'firstPort' | 'runDir' | 'log'> {
  /** Those of this engine's other servers. */
  ports: Set<number>
}

/**
 * Starts `ollama serve` on the first free port, and waits until it answers. Throws `engine_unavailable` or
 * `load_stalled` with its last words; nothing of a failed start is left.
 */
export async function spawnServer(
  spec: InstanceSpec,
  options: SpawnOptions,
  signal: AbortSignal,
): Promise<OllamaServer> {
  const program = await options.findProgram()
  for (let first = spec.port ?? options.firstPort; ; ) {
    signal.throwIfAborted()
    const port = await takePort(first, options.ports)
    const server = await startOn(port, program.path, spec, options)
    try {
      return await untilAnswering(server, spec, signal)
    } catch (error) {
      await server.stop(0)
      if (!(error instanceof AddressInUse)) throw error
      // Somebody was quicker.
      first = port + 1
    }
  }
}

class AddressInUse extends Error {}

type StartedServer = Omit<OllamaServer, 'version'> & {
  client: OllamaClient
  process: GuardedProcess
  output: Log
  report: ExitReport
}

async function startOn(
  port: number,
  path: string,
  spec: InstanceSpec,
  { modelsDir, runDir, ports, log }: SpawnOptions,
): Promise<StartedServer> {
  const folder = join(runDir, `ollama-${port}-${randomHex(4)}`)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const output = createLog()
  const child = spawnGuarded({
    file: path,
    args: ['serve'],
    env: environmentOf(spec, port, modelsDir, folder),
    cores: spec.cores,
    removePaths: [folder],
    onOutput: (chunk) => output.append(chunk),
  })
  const report = await createExitReport(child, output)
  const url = `http://127.0.0.1:${port}`
  const client = createClient(url)
  let killed: string | undefined
  let stopping = false
  const gone = (async (): Promise<InstanceExit> => {
    const { kind, reason } = await report('running')
    ports.delete(port)
    await client.close()
    await rm(folder, { recursive: true, force: true })
    if (stopping) return { kind: 'closed', reason }
    if (killed !== undefined) return { kind: 'hung', reason: killed }
    log(`ollama serve on port ${port} ended: ${reason}`)
    return { kind: kind === 'out_of_memory' || kind === 'device_lost' ? kind : 'crashed', reason }
  })()
  return {
    url,
    client,
    pid: child.pid,
    slots: spec.slots,
    gone,
    process: child,
    output,
    report,
    kill(reason) {
      killed ??= reason
      child.signal('SIGKILL')
    },
    forgetOutput: () => output.clear(),
    async stop(graceMs) {
      stopping = true
      await child.terminate(graceMs)
      await gone
    },
  }
}

/**
 * Drover's environment, what shows the devices, and what makes this server Drover's: its port and store, models that
 * stay until Drover unloads them however many they are, and no blob of a pull that is still under way deleted.
 */
function environmentOf(
  spec: InstanceSpec,
  port: number,
  modelsDir: string,
  folder: string,
): NodeJS.ProcessEnv {
  const { stallTimeoutMs, flashAttention } = spec
  // Settings of Drover's own are about this process, not about one that may be another Drover.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('DROVER_'))
  const { OLLAMA_FLASH_ATTENTION: _chosenBySpec, ...rest } = Object.fromEntries(inherited)
  return {
    // Ollama ends at once where it has no home.
    HOME: homedir(),
    ...rest,
    ...spec.env,
    TMPDIR: folder,
    OLLAMA_HOST: `127.0.0.1:${port}`,
    OLLAMA_MODELS: modelsDir,
    OLLAMA_KEEP_ALIVE: '-1',
    OLLAMA_NUM_PARALLEL: String(spec.slots),
    OLLAMA_MAX_LOADED_MODELS: '1000',
    OLLAMA_NOPRUNE: '1',
    OLLAMA_KV_CACHE_TYPE: spec.kvCacheType,
    // 0 never gives up.
    OLLAMA_LOAD_TIMEOUT: Number.isFinite(stallTimeoutMs) ? `${Math.ceil(stallTimeoutMs)}ms` : '0',
    ...(flashAttention !== 'auto' && { OLLAMA_FLASH_ATTENTION: flashAttention === 'on' ? '1' : '0' }),
  }
}

async function untilAnswering(
  server: StartedServer,
  { stallTimeoutMs }: InstanceSpec,
  signal: AbortSignal,
): Promise<OllamaServer> {
  let ended = false
  server.process.exited.then(() => {
    ended = true
  })
  const startedMs = performance.now()
  for (let waitMs = 10; ; waitMs = Math.min(longestPollMs, waitMs * 1.5)) {
    signal.throwIfAborted()
    const version = await versionOrNothing(server.client)
    // Another's server may have answered on the port that this one did not get.
    if (ended) throw await startError(server)
    if (version !== undefined) return { ...server, version }
    const silentMs = performance.now() - Math.max(startedMs, server.output.lastOutputMs)
    if (silentMs > stallTimeoutMs) {
      throw new DroverError(
        'load_stalled',
        `ollama serve did not answer on ${server.url}: ${lastWords(server)}`,
      )
    }
    await Promise.race([sleep(waitMs), server.process.exited])
  }
}

async function versionOrNothing(client: OllamaClient): Promise<string | undefined> {
  try {
    return await serverVersion(client)
  } catch {
    // Nothing listens yet; an end is told by the process.
    return undefined
  }
}

async function startError(server: StartedServer): Promise<Error> {
  const { kind, reason } = await server.report('loading')
  if (kind === 'address_in_use') return new AddressInUse(reason)
  return new DroverError('engine_unavailable', `ollama serve ended while it started: ${reason}`)
}

function lastWords({ output }: StartedServer): string {
  return output.text().trim().split('\n').at(-1) || 'it printed nothing'
}

/** The first port from `first` on that nobody listens on and no other server of this engine was given. */
async function takePort(first: number, taken: Set<number>): Promise<number> {
  const last = Math.min(65_535, first + portsTried - 1)
  for (let port = first; port <= last; port++) {
    if (taken.has(port)) continue
    taken.add(port)
    if (await isFree(port)) return port
    taken.delete(port)
  }
  throw new DroverError(
    'engine_unavailable',
    `ports ${first} to ${last} of 127.0.0.1 are all taken: free one of them for ollama serve`,
  )
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      // Ports below 1024 may be another user's to give.
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false)
      else reject(error)
    })
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
