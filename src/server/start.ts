import { rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { type Configuration, createApi, createBatchExecutor } from '../api/index.ts'
import { type Config, ollamaVersion } from '../config/index.ts'
import { type Clock, systemClock } from '../core/index.ts'
import { asDroverError } from '../inference/index.ts'
import {
  createLlamaTools,
  createModelMaker,
  createRegistry,
  type ModelStore,
  openStore,
  removeUnused,
} from '../models/index.ts'
import type { Logger } from '../observability/index.ts'
import { type Batches, createBatches, defaultBatchLimits, type Router } from '../routing/index.ts'
import { importDemoModel } from './demo.ts'
import { createPlanSources } from './planning.ts'
import { runDirPath, sweepRunDirs } from './run-dir.ts'
import { createWorker } from './worker.ts'

export interface RunningServer {
  /** `http://127.0.0.1:11434` */
  address: string
  /** Name of the bundled model, when it was asked for. */
  demoModel?: string
  /** Lets running answers end for `drainMs`, then stops everything. A second call hurries. */
  close(options: { drainMs: number }): Promise<void>
  /** Resolves when nothing is left. */
  closed: Promise<void>
}

export interface ServerOptions {
  log: Logger
  /** Makes the bundled model ready. */
  demo: boolean
  /** What the configuration has to say; logged at start. */
  warnings: readonly string[]
  /** Where the configuration came from, to be asked and changed over the API. */
  configuration?: Configuration
  /** What loads, unloads and forecasts go by; the machine's own by default. */
  clock?: Clock
}

/** Starts a gateway and its worker in this process. Throws, with nothing left behind, when it cannot serve. */
export async function startServer(
  config: Config,
  { log, demo, warnings, configuration, clock = systemClock }: ServerOptions,
): Promise<RunningServer> {
  for (const warning of warnings) log.warn({}, warning)
  await sweepRunDirs()
  const runDir = runDirPath()
  try {
    const store = await openStore({ root: config.modelsDir, log, prunes: config.prune })
    pruneLater(store, log)
    const registry = createRegistry({
      store,
      keyPath: join(homedir(), '.ollama', 'id_ed25519'),
      version: ollamaVersion,
      log,
      ...(config.prune && { removeUnused: (digests) => removeUnused(store.root, digests) }),
    })
    const makeModel = createModelMaker({ store, registry, tools: createLlamaTools(toolFolders(config)) })
    const demoModel = demo ? (await importDemoModel(store)).displayName : undefined
    const { router, devices, deployments, planMeans } = createWorker(config, store, runDir, log, clock)
    const batches = createBatches({
      folder: join(config.droverHome, 'batches'),
      limits: defaultBatchLimits,
      freeSlots: router.idleSlots,
      clock: systemClock,
      log,
    })
    const api = createApi({
      router,
      store,
      registry,
      makeModel,
      devices,
      multiGpu: deployments,
      plans: createPlanSources(config, store, planMeans, log),
      batches,
      ...(configuration && { configuration }),
      version: ollamaVersion,
      log,
      config: {
        listenHost: config.host.address,
        origins: config.origins,
        maxBodyBytes: config.maxBodyBytes,
      },
    })
    const address = await listen(api, config)
    batches.run(createBatchExecutor(api))
    return {
      ...running(api, router, batches, runDir),
      address,
      ...(demoModel !== undefined && { demoModel }),
    }
  } catch (error) {
    await rm(runDir, { recursive: true, force: true })
    throw error
  }
}

/** Beside the serving, not before it: a large store takes a while. */
function pruneLater(store: ModelStore, log: Logger): void {
  store.prune().catch((error) => log.warn({ reason: asDroverError(error).message }, 'store was not pruned'))
}

/** llama.cpp's tools lie beside its server. */
function toolFolders({ llamaServerPath, enginesDir }: Config) {
  const folders = [
    ...(llamaServerPath === undefined ? [] : [dirname(llamaServerPath)]),
    join(enginesDir, 'llama.cpp', 'bin'),
  ]
  return { folders, path: process.env['PATH'] }
}

async function listen(api: FastifyInstance, { host }: Config): Promise<string> {
  try {
    return await api.listen({ host: host.address, port: host.port })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    const where = `${host.address}:${host.port}`
    if (code === 'EADDRINUSE') {
      throw new Error(`${where} is in use, perhaps by Ollama or another Drover: stop it, or set OLLAMA_HOST`)
    }
    if (code === 'EACCES') throw new Error(`${where} may not be used by this user: take a port from 1024 on`)
    if (code === 'EADDRNOTAVAIL')
      throw new Error(`${where} is no address of this machine: correct OLLAMA_HOST`)
    throw error
  }
}

/** Answers that have ended may still be on their way to a client; it has a moment to take them. */
const lastWordsMs = 1000

async function lastWords(api: FastifyInstance): Promise<void> {
  api.server.closeIdleConnections()
  systemClock.after(lastWordsMs, () => api.server.closeAllConnections())
}

function running(
  api: FastifyInstance,
  router: Router,
  batches: Batches,
  runDir: string,
): Pick<RunningServer, 'close' | 'closed'> {
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  let closing: Promise<unknown> | undefined
  const close = async ({ drainMs }: { drainMs: number }) => {
    // Batches go on after the next start: nobody waits for them now.
    const paused = batches.close()
    const hurried = router.close({ drainMs })
    if (closing) return void (await Promise.all([hurried, closing]))
    // The port refuses newcomers from here on; those within may end.
    const stopped = api.close()
    closing = Promise.all([hurried, paused])
      .then(() => lastWords(api))
      .then(() => stopped)
      .then(() => rm(runDir, { recursive: true, force: true }))
      .finally(resolve)
    await closing
  }
  return { close, closed }
}
