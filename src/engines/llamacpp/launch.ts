import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomHex } from '../../core/index.ts'
import { DroverError } from '../../inference/index.ts'
import type { EngineInstance, InstanceExit, InstanceSpec, Speculation } from '../contract.ts'
import { sessionFingerprint } from '../fingerprint.ts'
import { defaultThreads, type GuardedProcess, spawnGuarded } from '../process/index.ts'
import { createClient, type ServerClient, ServerError } from './client.ts'
import type { ModelFacts } from './completion.ts'
import { createExitReport, type ExitReport } from './exit-report.ts'
import { freePort } from './free-port.ts'
import { createInstance, type RunningServer } from './instance.ts'
import { type Endpoint, launchLine, slotSaveFlag } from './launch-line.ts'
import { type Log, lacksPooling, parseMemory } from './log.ts'
import { type LogFile, openLogFile } from './log-file.ts'
import { placementDifferences } from './placement-check.ts'
import type { ServerFacts } from './probe.ts'
import { type RpcDeviceNames, rpcDeviceNames } from './rpc/device-names.ts'
import { openRpcGroup, type RpcGroup } from './rpc/group.ts'
import type { TunnelKey } from './rpc/key.ts'
import { canRestoreSlots } from './sessions.ts'

const mostPortAttempts = 5
const longestHealthPollMs = 100
/** `sun_path` holds 104 bytes on macOS, 108 on Linux. */
const longestSocketPath = 103
/** Host memory for prompts of earlier requests: a 32nd of the machine's, at most 2 GiB. */
export const mostCacheRamMib = 2048
export const cacheRamMib = Math.min(mostCacheRamMib, Math.floor(totalmem() / 32 / 1024 / 1024))
/** Connections beside one a slot: health, tokenizing, slot states. */
const extraConnections = 3
/** A server that loses a worker may end before the news of the worker's end comes. */
const newsOfLossMs = 1_000

/** Set in the environment these would override what Drover decides about reaching the server. */
const ownedVariables = [
  'LLAMA_ARG_HOST',
  'LLAMA_ARG_PORT',
  'LLAMA_ARG_API_PREFIX',
  'LLAMA_ARG_API_KEY_FILE',
  'LLAMA_ARG_SSL_KEY_FILE',
  'LLAMA_ARG_SSL_CERT_FILE',
]

export interface LaunchContext {
  runDir: string
  /** Workers of other machines are reached with it, by tunnels. */
  rpcKey?: TunnelKey | undefined
  /** A draft model was found to cost more than it brings. */
  onDraftLoses?(figures: Speculation): void
  log(message: string): void
}

/** Starts a server and waits until it takes requests; see `Engine.launch` for the errors. */
export async function launchServer(
  spec: InstanceSpec,
  server: ServerFacts,
  context: LaunchContext,
  signal: AbortSignal,
): Promise<EngineInstance> {
  const group = await openRpcGroup(spec, server, context, signal)
  try {
    return await launchWith(group, spec, server, context, signal)
  } catch (error) {
    await group?.close()
    throw error
  }
}

async function launchWith(
  group: RpcGroup | undefined,
  spec: InstanceSpec,
  server: ServerFacts,
  context: LaunchContext,
  signal: AbortSignal,
): Promise<EngineInstance> {
  let pooling: string | undefined
  const remote = group && { group, names: await namesOf(group, spec, server) }
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted()
    const started = await start(spec, server, context, pooling, remote)
    try {
      await untilHealthy(started, spec, signal)
      if (spec.embedding && pooling === undefined && lacksPooling(started.log.text())) {
        // Only the load tells that the model has no pooling of its own; in a causal model the last token has
        // seen all the others.
        pooling = 'last'
        await started.stop()
        continue
      }
      return await serve(spec, server, started, context)
    } catch (error) {
      await started.stop()
      const taken = error instanceof AddressInUse
      if (!taken || attempt >= mostPortAttempts) {
        throw taken ? new DroverError('load_failed', `${error.message}, ${attempt} times`) : error
      }
    }
  }
}

interface StartedServer {
  process: GuardedProcess
  client: ServerClient
  log: Omit<Log, 'append'>
  report: ExitReport
  remote: Remote | undefined
  /** Resolves when the process has ended and its files are deleted. */
  removed: Promise<void>
  stop(): Promise<void>
}

class AddressInUse extends Error {}

/** The workers of a server, and what it calls their devices. */
interface Remote {
  group: RpcGroup
  names: RpcDeviceNames | undefined
}

/** Only a split names devices. */
async function namesOf(group: RpcGroup, spec: InstanceSpec, server: ServerFacts) {
  const wanted = [...(spec.split?.devices ?? []), spec.draft?.device ?? ''].filter((name) =>
    name.startsWith('RPC'),
  )
  if (wanted.length === 0) return undefined
  const names = await rpcDeviceNames(server.path, group.endpoints, { ...process.env, ...spec.env })
  const missing = wanted.filter((name) => !names.arguments.has(name))
  if (missing.length === 0) return names
  const found = [...names.arguments.keys()].join(', ') || 'none'
  throw new DroverError(
    'engine_unavailable',
    `${spec.modelName} was to use ${missing.join(', ')}: the workers ${spec.rpcWorkers?.join(', ')} have ${found}`,
  )
}

async function start(
  spec: InstanceSpec,
  server: ServerFacts,
  context: LaunchContext,
  pooling: string | undefined,
  remote: Remote | undefined,
): Promise<StartedServer> {
  const folder = join(context.runDir, `${spec.id}-${randomHex(4)}`)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if (spec.sessionDir) await mkdir(spec.sessionDir, { recursive: true, mode: 0o700 })
  const socketPath = join(folder, 'engine.sock')
  const endpoint: Endpoint =
    server.unixSockets && spec.port === undefined && Buffer.byteLength(socketPath) <= longestSocketPath
      ? { socketPath }
      : { port: await (spec.port === undefined ? freePort() : portFrom(spec.port)) }
  const apiKey = randomHex(32)
  const env: NodeJS.ProcessEnv = { ...process.env, GGML_NO_BACKTRACE: '1', ...spec.env }
  for (const name of ownedVariables) delete env[name]
  const apiKeyFile = server.apiKeyFromEnvironment ? undefined : join(folder, 'api-key')
  if (apiKeyFile) await writeFile(apiKeyFile, `${apiKey}\n`, { mode: 0o600 })
  else env['LLAMA_API_KEY'] = apiKey

  const threads = spec.threads ?? spec.cores?.length ?? defaultThreads()
  const args = launchLine(spec, server, {
    endpoint,
    threads,
    cacheRamMib,
    ...(apiKeyFile && { apiKeyFile }),
    ...(pooling && { pooling }),
    ...(remote && { rpcEndpoints: remote.group.endpoints }),
    ...(remote?.names && { deviceNames: remote.names.arguments }),
  })
  const log = openLogFile(join(folder, 'engine.log'))
  const child = spawnLogged(log, {
    file: server.path,
    args,
    env,
    cores: spec.cores,
    removePaths: [folder],
  })
  const client = createClient(endpoint, apiKey, spec.slots + extraConnections)
  const removed = child.exited.then(() => {
    log.close()
    return rm(folder, { recursive: true, force: true })
  })
  const report = await createExitReport(child, log)
  // Without all of its workers it cannot go on, and would notice at the next token only.
  remote?.group.lost.then(() => child.signal('SIGKILL'))
  return {
    process: child,
    client,
    log,
    report: remote ? withWorkers(report, remote.group) : report,
    remote,
    removed,
    stop: async () => {
      await child.terminate(0)
      await client.close()
      await removed
    },
  }
}

/** Throws as `spawnGuarded` does, with nothing left open. */
function spawnLogged(
  log: LogFile,
  options: Omit<Parameters<typeof spawnGuarded>[0], 'onOutput' | 'outputFd'>,
): GuardedProcess {
  try {
    return spawnGuarded({ ...options, outputFd: log.fd })
  } catch (error) {
    log.close()
    throw error
  }
}

/** A lost worker is told before what the server said when it missed it. */
function withWorkers(report: ExitReport, group: RpcGroup): ExitReport {
  return async (during) => {
    const told = await report(during)
    const news = told.kind === 'other' || told.killed
    const lost = news && (await Promise.race([group.lost, sleep(newsOfLossMs, undefined, { ref: false })]))
    if (lost) return { kind: 'other', reason: lost, killed: true }
    return { ...told, reason: group.explain(told.reason) }
  }
}

/** The first free one from a port on: the device's own, or, when another instance has that, one of the next. */
async function portFrom(first: number): Promise<number> {
  for (let port = first; port < first + mostPortAttempts; port++) {
    try {
      return await freePort(port)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
  }
  throw new DroverError(
    'load_failed',
    `ports ${first} to ${first + mostPortAttempts - 1} of 127.0.0.1 are all taken: give the device another port`,
  )
}

/** Polls `/health` until the model is loaded; throws when the process ends, stalls, or the signal aborts. */
async function untilHealthy(started: StartedServer, spec: InstanceSpec, signal: AbortSignal): Promise<void> {
  const { process: child, client, log } = started
  const watch = watchProgress(child.pid, log)
  let ended = false
  child.exited.then(() => {
    ended = true
  })
  for (let waitMs = 5; ; waitMs = Math.min(longestHealthPollMs, waitMs * 1.5)) {
    signal.throwIfAborted()
    if (ended) throw await launchFailure(spec, started.report)
    if (await isHealthy(client)) return
    const idleMs = await watch()
    if (idleMs > spec.stallTimeoutMs) {
      const last = log.text().trim().split('\n').at(-1) || 'nothing'
      throw new DroverError(
        'load_stalled',
        `timed out waiting for llama-server to start: ${spec.modelName} showed no progress for ` +
          `${Math.round(idleMs)} ms; its last words: ${last}`,
      )
    }
    await Promise.race([sleep(waitMs), child.exited])
  }
}

async function isHealthy(client: ServerClient): Promise<boolean> {
  try {
    await client.json('GET', '/health')
    return true
  } catch (error) {
    if (error instanceof ServerError && error.status !== 503) throw error
    // 503 while the model loads; before that there is nothing to connect to.
    return false
  }
}

/** Milliseconds since the last log output or, on Linux, since the process last read or touched new memory. */
function watchProgress(pid: number, log: Pick<Log, 'lastOutputMs'>): () => Promise<number> {
  let mark = ''
  let lastMs = performance.now()
  return async () => {
    const now = performance.now()
    const current = await activityOf(pid)
    if (current !== mark) {
      mark = current
      lastMs = now
    }
    return now - Math.max(lastMs, log.lastOutputMs)
  }
}

/** Page faults and bytes read so far; the same text as long as nothing happens. */
async function activityOf(pid: number): Promise<string> {
  if (process.platform !== 'linux') return ''
  try {
    const [stat, io] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile(`/proc/${pid}/io`, 'utf8'),
    ])
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return `${fields[7]} ${fields[9]} ${/rchar: (\d+)/.exec(io)?.[1]}`
  } catch {
    // The process has just ended: its exit says so.
    return ''
  }
}

async function launchFailure(spec: InstanceSpec, report: ExitReport): Promise<Error> {
  const { kind, reason } = await report('loading')
  if (kind === 'address_in_use') return new AddressInUse(reason)
  const codes = {
    out_of_memory: 'insufficient_memory',
    device_lost: 'engine_crashed',
    other: 'load_failed',
  } as const
  return new DroverError(
    codes[kind],
    `llama-server process has terminated while loading ${spec.modelName}: ${reason}`,
  )
}

async function serve(
  spec: InstanceSpec,
  server: ServerFacts,
  started: StartedServer,
  context: LaunchContext,
): Promise<EngineInstance> {
  const { client, process: child, log, remote } = started
  const props = (await client.json('GET', '/props')) as {
    total_slots?: number
    bos_token?: string
    media_marker?: string
    default_generation_settings?: { n_ctx?: number }
  }
  const model: ModelFacts = {
    contextLength: props.default_generation_settings?.n_ctx ?? spec.contextLength,
    addedBos: (await addsBos(client)) ? props.bos_token : undefined,
    mediaMarker: props.media_marker ?? '<__media__>',
  }
  const text = remote?.names ? remote.names.inSpecsWords(log.text()) : log.text()
  const memory = parseMemory(text)
  for (const difference of placementDifferences(text, spec)) {
    context.log(`instance ${spec.id} of ${spec.modelName} is not as planned: ${difference}`)
  }
  const sessions = await sessionsOf(spec, server, client, context)
  // What is printed from here on is about requests, and perhaps the end.
  log.clear()
  return createInstance({
    spec,
    process: child,
    client,
    model,
    memory,
    contextLength: model.contextLength,
    slots: props.total_slots ?? spec.slots,
    sessions,
    logText: log.text,
    explainExit: () => explainExit(started),
    ...(context.onDraftLoses && { onDraftLoses: context.onDraftLoses }),
    log: context.log,
  })
}

async function explainExit({ report, removed, remote }: StartedServer): Promise<InstanceExit> {
  const { kind, reason, killed } = await report('running')
  await remote?.group.close()
  await removed
  return { kind: kind === 'out_of_memory' || kind === 'device_lost' ? kind : 'crashed', reason, killed }
}

/** By program and version; with a projector it is another matter. */
const restoringBuilds = new Map<string, boolean>()

async function sessionsOf(
  spec: InstanceSpec,
  server: ServerFacts,
  client: ServerClient,
  { log }: LaunchContext,
): Promise<RunningServer['sessions']> {
  const { sessionDir: dir } = spec
  if (dir === undefined || spec.embedding || !server.flags.has(slotSaveFlag)) return undefined
  const build = `${server.path} ${server.version} ${spec.projectorPaths.length > 0}`
  const known = restoringBuilds.get(build)
  const able = known ?? (await canRestoreSlots(client, dir))
  restoringBuilds.set(build, able)
  if (known === undefined && !able) {
    log(`${server.path} ${server.version} cannot restore slots: KV caches are neither kept nor moved`)
  }
  return able
    ? { dir, fingerprint: await sessionFingerprint(spec, `llama-server ${server.version}`) }
    : undefined
}

async function addsBos(client: ServerClient): Promise<boolean> {
  const answer = await client.json('POST', '/tokenize', { content: '', add_special: true })
  return (answer as { tokens: number[] }).tokens.length > 0
}
