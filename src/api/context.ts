import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ModelMaker, ModelStore, Registry } from '../models/index.ts'
import type { Batches, Router } from '../routing/index.ts'
import type { Configuration } from './drover/configuration-directory.ts'
import type { DeviceDirectory } from './drover/device-directory.ts'
import type { PlanSources } from './drover/plan-sources.ts'
import type { BodyBudget } from './http/index.ts'
import type { ApiLog } from './log.ts'
import type { MultiGpuControl } from './multigpu/control.ts'
import type { Meter } from './multigpu/meter.ts'

export interface ApiConfig {
  /** Browser origins to accept beside `defaultOrigins`; one `*` in each at most, `*` alone accepts all. */
  origins?: readonly string[]
  /** Address the server listens on. On a loopback address only local `Host` names are accepted. */
  listenHost: string
  /** Largest request body, in bytes as sent. */
  maxBodyBytes?: number
  /** Time for a request's body to arrive whole; an uploaded blob may take longer while it comes. */
  bodyTimeoutMs?: number
  /** A client that takes nothing for so long loses its answer. */
  writeStallTimeoutMs?: number
}

/** Everything the dialects need. */
export interface ApiContext {
  router: Router
  store: ModelStore
  /** Pulls and pushes models. */
  registry: Registry
  makeModel: ModelMaker
  devices: DeviceDirectory
  /** What `/api/plan` plans with; absent: it is refused. */
  plans?: PlanSources
  /** Files and batches of OpenAI's API; absent: they are refused. */
  batches?: Batches
  /** The layout of models over devices; absent: it cannot be changed from outside. */
  multiGpu?: MultiGpuControl
  meter: Meter
  /** Where the configuration came from; absent: it cannot be asked or changed. */
  configuration?: Configuration
  /** The version of Ollama whose API this is, for `/api/version`. */
  version: string
  log: ApiLog
  config: Required<ApiConfig>
  bodies: BodyBudget
}

/** Room for a conversation with many photographs; the body is read into memory. */
const defaultMaxBodyBytes = 64 * 1024 * 1024
const defaultWriteStallTimeoutMs = 60_000
const defaultBodyTimeoutMs = 300_000

export function withDefaults(config: ApiConfig): Required<ApiConfig> {
  return {
    origins: config.origins ?? [],
    listenHost: config.listenHost,
    maxBodyBytes: config.maxBodyBytes ?? defaultMaxBodyBytes,
    bodyTimeoutMs: config.bodyTimeoutMs ?? defaultBodyTimeoutMs,
    writeStallTimeoutMs: config.writeStallTimeoutMs ?? defaultWriteStallTimeoutMs,
  }
}

/** A route's work: reads the request, sends the reply. What it throws the dialect puts into its envelope. */
export type Handler = (context: ApiContext, request: FastifyRequest, reply: FastifyReply) => Promise<unknown>
