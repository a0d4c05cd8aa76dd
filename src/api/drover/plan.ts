import type { FastifyReply, FastifyRequest } from 'fastify'
import type { InstanceSpec, SecondOpinion } from '../../engines/index.ts'
import { DroverError } from '../../inference/index.ts'
import {
  type CommandsOf,
  type CostsOf,
  type Inventory,
  type ModelFiles,
  type Plan,
  type PlanModel,
  type PlanReport,
  type PlanRequest,
  type PlanWishes,
  planModel,
  planRequestFromQuery,
  planRequestSchema,
  type RunParts,
  readPlanRequest,
  reportOf,
  type Strategy,
  specsOfPlan,
  usualContextLength,
} from '../../placement/index.ts'
import type { ApiContext } from '../context.ts'
import { goMap, type JsonSchema } from '../go-json/index.ts'
import { readJson, sendJson } from '../http/index.ts'
import { modelRequired } from '../resolve.ts'

/** A model with its files, as far as they are anywhere. */
export interface PlanSubject {
  model: PlanModel
  files: ModelFiles
}

/** What plans are made of. */
export interface PlanSources {
  /** A model by the name that people give it. Throws `model_not_found`. */
  find(name: string): Promise<PlanSubject>
  /** This machine, or all machines of this server, as they are now. */
  machines(): Promise<Inventory>
  /** Command lines as they are on this machine, or on others, whatever is installed here. */
  commandsOf(here: boolean): Promise<CommandsOf>
  /** What the configuration asks of plans for this machine, under a strategy that the request asks for. */
  wishesFor?(inventory: Inventory, strategy: Strategy | undefined): PlanWishes
  /** What was learned of the memory that such models take; absent: nothing. */
  costsFor?(subject: PlanSubject, inventory: Inventory): Promise<CostsOf>
  /** What another program reckons that the first instance of a plan takes. */
  opinionOf?(plan: Plan, spec: InstanceSpec): Promise<SecondOpinion | undefined>
}

/** Plans what a request asks for. Throws `model_not_found`, `invalid_request` and `invalid_option`. */
export async function makePlan(request: PlanRequest, sources: PlanSources): Promise<PlanReport> {
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
  read: () => PlanRequest,
  model: unknown,
) {
  if (model === undefined || model === '') throw modelRequired
  if (!plans) throw new DroverError('unsupported', 'this server makes no plans')
  const asked = read()
  request.exchange.model = asked.model
  return sendJson(reply, JSON.stringify(await makePlan(asked, plans)))
}
