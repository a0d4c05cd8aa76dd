import type { FastifyReply, FastifyRequest } from 'fastify'
import { DroverError } from '../../inference/index.ts'
import {
  type PlanQuery,
  type PlanReport,
  type PlanWishes,
  planModel,
  planRequestFromQuery,
  planRequestSchema,
  type RunParts,
  readPlanRequest,
  reportOf,
  specsOfPlan,
  usualContextLength,
} from '../../placement/index.ts'
import type { ApiContext } from '../context.ts'
import { goMap, type JsonSchema } from '../go-json/index.ts'
import { readJson, sendJson } from '../http/index.ts'
import { modelRequired } from '../resolve.ts'
import type { PlanSources } from './plan-sources.ts'

/** Plans what a request asks for. Throws `model_not_found`, `invalid_request` and `invalid_option`. */
export async function makePlan(request: PlanQuery, sources: PlanSources): Promise<PlanReport> {
  const here = request.inventory === undefined
  const [subject, inventory, commandsOf] = await Promise.all([
    sources.find(request.model),
    request.inventory ?? sources.machines(),
    sources.commandsOf(here),
  ])
  const configured = here ? sources.wishesFor?.(inventory, request.wishes.strategy) : undefined
  const wishes = { defaultContextLength: usualContextLength(inventory), ...configured, ...request.wishes }
  // What was learned here is of this machine's engines.
  const costs = here ? await sources.costsFor?.(subject, inventory) : undefined
  const { model, files } = subject
  const result = planModel(model, inventory, wishes, costs)
  const specs = result.ok ? specsOfPlan(result.plans[0], model, inventory, files, runOf(wishes, here)) : []
  const report = reportOf(result, model, inventory, specs, commandsOf)
  const [first] = specs
  const opinion = here && first && result.ok ? await sources.opinionOf?.(result.plans[0], first) : undefined
  return opinion ? { ...report, opinion } : report
}

/** Threads of a machine of which nobody told how many cores it has. */
const usualThreads = 8

function runOf({ flashAttention, batchSize }: PlanWishes, here: boolean): RunParts {
  return {
    ...(flashAttention && { flashAttention }),
    ...(batchSize !== undefined && { batchSize }),
    ...(!here && { threads: usualThreads }),
  }
}

/** The body of `POST /api/plan`; its fields are checked by the planner's own reader, which refuses unknown ones. */
export const planRequest = { ...goMap, jsonSchema: planRequestSchema as JsonSchema }

/** `POST /api/plan`: how a model would lie on these machines or others, and why; nothing is started. */
export async function plan(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, planRequest)
  return planned(context, request, reply, () => readPlanRequest(body), body['model'])
}

/** `GET /api/plan?model=...&gpus=...`: the same by a query. */
export async function planQuery(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const query = request.query as Record<string, string | string[]>
  const texts = Object.fromEntries(
    Object.entries(query).map(([key, value]) => [key, [value].flat().join(',')]),
  )
  return planned(context, request, reply, () => planRequestFromQuery(texts), texts['model'])
}

async function planned(
  { plans }: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
  read: () => PlanQuery,
  model: unknown,
) {
  if (model === undefined || model === '') throw modelRequired
  if (!plans) throw new DroverError('unsupported', 'this server makes no plans')
  const asked = read()
  request.exchange.model = asked.model
  return sendJson(reply, JSON.stringify(await makePlan(asked, plans)))
}
