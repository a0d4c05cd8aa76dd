import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { DroverError } from '../../inference/index.ts'
import type { ApiContext, Handler } from '../context.ts'
import { readJson, replyWithError, sendJson } from '../http/index.ts'
import { errorJson } from '../ollama/encode.ts'
import { generateWording, modelRequired, resolveModel } from '../resolve.ts'
import { changeConfig, configured, isOn, showConfig } from './configuration.ts'
import type { MultiGpuControl } from './control.ts'
import { deviceIdsOf } from './devices.ts'
import { layoutOf, modelsReport, performanceReport, statusReport, topologyReport } from './reports.ts'
import { migrateRequest, rebalanceRequest } from './requests.ts'
import { layoutWishes } from './wishes.ts'

/** Models over several devices: how they lie, how fast they are, and what to change. */
export function multiGpuRoutes(app: FastifyInstance, context: ApiContext): void {
  app.setErrorHandler((thrown, request, reply) =>
    replyWithError(thrown, request, reply, context.log, errorJson),
  )
  const route = (method: 'GET' | 'PUT' | 'POST', name: string, handler: Handler) =>
    app.route({
      method,
      url: `/api/multigpu/${name}`,
      handler: (request, reply) => handler(context, request, reply),
    })
  route('GET', 'status', status)
  route('GET', 'topology', async ({ devices }, _request, reply) =>
    sendJson(reply, JSON.stringify(topologyReport(await devices.report()))),
  )
  route('GET', 'performance', performance)
  route('GET', 'models', async ({ devices, multiGpu }, _request, reply) =>
    sendJson(reply, JSON.stringify(modelsReport(multiGpu?.status() ?? layoutOf(await devices.report())))),
  )
  route('GET', 'config', showConfig)
  route('PUT', 'config', changeConfig)
  route('POST', 'migrate', migrate)
  route('POST', 'rebalance', rebalance)
  route('POST', 'undo', async (own, _request, reply) =>
    sendJson(reply, JSON.stringify(await controlOf(own).undo())),
  )
}

async function status(context: ApiContext, _request: FastifyRequest, reply: FastifyReply) {
  const report = await context.devices.report()
  const layout = context.multiGpu?.status() ?? layoutOf(report)
  const section = { enabled: isOn(context, 'enabled'), strategy: configured(context, 'strategy') ?? 'auto' }
  return sendJson(reply, JSON.stringify({ ...section, ...statusReport(report, layout) }))
}

/** `GET /api/multigpu/performance`: what of it `multi_gpu.monitoring` does not switch off. */
async function performance(context: ApiContext, _request: FastifyRequest, reply: FastifyReply) {
  const watched = isOn(context, 'monitoring.enabled')
  const report = performanceReport({
    ...(watched && isOn(context, 'monitoring.performance_profiling') && { measured: context.meter.report() }),
    ...(watched &&
      isOn(context, 'monitoring.metrics_collection') && { found: await context.devices.report() }),
  })
  return sendJson(reply, JSON.stringify(report))
}

/** `POST /api/multigpu/migrate`: a model on other devices; who is being answered goes on there. */
async function migrate(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const {
    model = '',
    to: names = [],
    instance,
    dry_run: dryRun = false,
    ...layout
  } = await readJson(context, request, migrateRequest)
  if (model === '') throw modelRequired
  if (names.length === 0) {
    throw new DroverError('invalid_request', 'to is required: the devices that the model is to lie on')
  }
  const wished = layoutWishes(layout, '')
  const { displayName } = await resolveModel(context, request, model, generateWording)
  const { devices } = await context.devices.report()
  const to = deviceIdsOf(names, devices, 'to')
  const wish = { model: displayName, to, dryRun, ...(instance !== undefined && { instance }), ...wished }
  return sendJson(reply, JSON.stringify({ dryRun, moves: await controlOf(context).migrate(wish) }))
}

/** `POST /api/multigpu/rebalance`: lays out anew what would gain by it. */
async function rebalance(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const { dry_run: dryRun = false } = await readJson(context, request, rebalanceRequest, {
    acceptEmpty: true,
  })
  return sendJson(reply, JSON.stringify({ dryRun, moves: await controlOf(context).rebalance({ dryRun }) }))
}

/** Throws `unsupported` where the engine lays out its models itself. */
function controlOf({ multiGpu }: ApiContext): MultiGpuControl {
  if (multiGpu) return multiGpu
  throw new DroverError(
    'unsupported',
    'the layout of models is not in the hands of this server: its engine places them itself',
  )
}
