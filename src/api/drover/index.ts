import type { FastifyInstance } from 'fastify'
import type { ApiContext } from '../context.ts'
import { readJson, replyWithError, sendJson } from '../http/index.ts'
import { errorJson } from '../ollama/encode.ts'
import { modelRequired } from '../resolve.ts'
import { configuration } from './configuration.ts'
import { fittingVersion } from './fit.ts'
import { plan, planQuery } from './plan.ts'
import { restartRequest } from './requests.ts'
import { drain, explain, explainQuery } from './routing.ts'

/** What Drover has beyond the dialects: devices, and the care of what runs on them. */
export function droverRoutes(app: FastifyInstance, context: ApiContext): void {
  app.setErrorHandler((thrown, request, reply) =>
    replyWithError(thrown, request, reply, context.log, errorJson),
  )

  /** Every device with its sensors, its health, and what runs on it. */
  app.get('/api/devices', async (_request, reply) =>
    sendJson(reply, JSON.stringify(await context.devices.report())),
  )

  /** Every setting, and what became of the file's last change. */
  app.get('/api/config', (_request, reply) => configuration(context, reply))

  /** Who waits, what each instance does, and how wrong predictions were. */
  app.get('/api/queue', async (_request, reply) => sendJson(reply, JSON.stringify(context.router.queue())))
  app.get('/api/route/explain', (request, reply) => explainQuery(context, request, reply))
  app.post('/api/route/explain', (request, reply) => explain(context, request, reply))
  app.get('/api/plan', (request, reply) => planQuery(context, request, reply))
  app.post('/api/plan', (request, reply) => plan(context, request, reply))
  app.post('/api/fit', (request, reply) => fittingVersion(context, request, reply))
  app.post('/api/drain', (request, reply) => drain(context, request, reply))

  /** Replaces every instance of a model by a new one; no request is refused meanwhile. */
  app.post('/api/restart', async (request, reply) => {
    const { model = '' } = await readJson(context, request, restartRequest)
    if (model === '') throw modelRequired
    request.exchange.model = model
    return sendJson(reply, JSON.stringify({ model, instances: await context.router.restart(model) }))
  })
}
