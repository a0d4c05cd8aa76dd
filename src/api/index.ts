import Fastify, { type FastifyInstance } from 'fastify'
import { systemClock } from '../core/index.ts'
import type { ModelMaker, ModelStore, Registry } from '../models/index.ts'
import type { Batches, Router } from '../routing/index.ts'
import { anthropicRoutes } from './anthropic/index.ts'
import { type ApiConfig, type ApiContext, withDefaults } from './context.ts'
import type { Configuration } from './drover/configuration-directory.ts'
import type { DeviceDirectory } from './drover/device-directory.ts'
import { droverRoutes } from './drover/index.ts'
import type { PlanSources } from './drover/plan-sources.ts'
import {
  answerBrokenRequest,
  answerUnknown,
  createBodyBudget,
  createOriginCheck,
  isLocalHost,
  isLoopback,
  trackExchanges,
} from './http/index.ts'
import type { ApiLog } from './log.ts'
import type { MultiGpuControl } from './multigpu/control.ts'
import { multiGpuRoutes } from './multigpu/index.ts'
import { createMeter } from './multigpu/meter.ts'
import { ollamaRoutes } from './ollama/index.ts'
import { openAiRoutes } from './openai/index.ts'
import { openApiRoutes } from './openapi/index.ts'

export type { ApiConfig } from './context.ts'
export type { Configuration, ConfigurationReport } from './drover/configuration-directory.ts'
export type {
  DeviceDirectory,
  DeviceInstance,
  DeviceReport,
  DeviceStatus,
} from './drover/device-directory.ts'
export type { FittingVersion } from './drover/fit.ts'
export { makePlan, makePlans } from './drover/plan.ts'
export type { PlanSources, PlanSubject } from './drover/plan-sources.ts'
export type { ApiLog } from './log.ts'
export type * from './multigpu/control.ts'
export type { Performance } from './multigpu/meter.ts'
export { createBatchExecutor } from './openai/batches/index.ts'

export interface ApiOptions {
  router: Router
  store: ModelStore
  registry: Registry
  makeModel: ModelMaker
  devices: DeviceDirectory
  plans?: PlanSources
  batches?: Batches
  multiGpu?: MultiGpuControl
  configuration?: Configuration
  /** The version of Ollama whose API this is, for `/api/version`. */
  version: string
  log: ApiLog
  config: ApiConfig
}

/** Headers as long as Go takes them. */
const maxHeaderBytes = 1024 * 1024
/** Longest model name that a path may carry: a host of 350 characters and three parts of 80, percent-encoded. */
const maxParamLength = 2048

/**
 * The HTTP face: Ollama's, OpenAI's and Anthropic's API over one router and one store. The instance is not
 * listening yet; `inject` tests it in process.
 */
export function createApi({ config, ...parts }: ApiOptions): FastifyInstance {
  const settings = withDefaults(config)
  const bodies = createBodyBudget(settings.maxBodyBytes, settings.bodyTimeoutMs)
  const context: ApiContext = { ...parts, config: settings, bodies, meter: createMeter(systemClock) }
  const { log } = parts
  const app = Fastify({
    exposeHeadRoutes: false,
    return503OnClosing: false,
    // Bodies have times of their own: a model takes hours to upload, a question does not.
    requestTimeout: 0,
    routerOptions: { maxParamLength },
    http: { maxHeaderSize: maxHeaderBytes },
    clientErrorHandler: answerBrokenRequest,
    // A path that is none, in the words of Go's server.
    frameworkErrors: (_error, _request, reply) => {
      reply.hijack()
      reply.raw.writeHead(400, { 'content-type': 'text/plain; charset=utf-8' }).end('400 Bad Request')
    },
  })
  // Bodies are read by the handlers: the limit, the decoding and every error text are theirs.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  trackExchanges(app, log)
  guard(app, context)
  dropStalledReplies(app, settings.writeStallTimeoutMs)
  answerUnknown(app)
  // A scope for each dialect: its error envelope is its own.
  app.register(async (scope) => ollamaRoutes(scope, context))
  app.register(async (scope) => openAiRoutes(scope, context))
  app.register(async (scope) => anthropicRoutes(scope, context))
  app.register(async (scope) => droverRoutes(scope, context))
  app.register(async (scope) => multiGpuRoutes(scope, context))
  app.register(async (scope) => openApiRoutes(scope, context))
  return app
}

/** Refuses foreign origins and, where only this machine can connect, foreign host names. Neither says why. */
function guard(app: FastifyInstance, { config }: ApiContext): void {
  const checkOrigin = createOriginCheck(config.origins)
  const checksHost = isLoopback(config.listenHost)
  app.addHook('onRequest', async (request, reply) => {
    // Any type is taken for JSON, so Fastify need not judge it.
    delete request.raw.headers['content-type']
    const verdict = checkOrigin(request.raw, reply.raw)
    if (verdict === 'refuse') return reply.code(403).send()
    if (verdict === 'preflight') return reply.code(204).send()
    if (!checksHost) return
    if (!isLocalHost(request.headers.host ?? '')) return reply.code(403).send()
    if (request.method === 'OPTIONS') return reply.code(204).send()
  })
}

/** A whole reply waits in memory for its client; one that takes nothing of it for so long is disconnected. */
function dropStalledReplies(app: FastifyInstance, stallTimeoutMs: number): void {
  app.addHook('onSend', async (_request, reply) => {
    reply.raw.setTimeout(stallTimeoutMs, () => reply.raw.destroy())
  })
}
