import type { FastifyReply, FastifyRequest } from 'fastify'
import { DroverError } from '../../inference/index.ts'
import {
  type CommandsOf,
  type Inventory,
  type PlannedModel,
  type PlanQuery,
  type PlanReport,
  type PlanResult,
  type PlansQuery,
  type PlansReport,
  type PlansTogether,
  type PlanWishes,
  planRequestFromQuery,
  planRequestSchema,
  type RunParts,
  readPlanRequest,
  reportOf,
  specsOfPlan,
  type TaskRequest,
  usualContextLength,
  workOut,
} from '../../placement/index.ts'
import type { ApiContext } from '../context.ts'
import { goMap, type JsonSchema } from '../go-json/index.ts'
import { readJson, sendJson } from '../http/index.ts'
import type { PlanSources, PlanSubject } from './plan-sources.ts'

/** Plans what a request asks for. Throws `model_not_found`, `invalid_request` and `invalid_option`. */
export async function makePlan(request: PlanQuery, sources: PlanSources): Promise<PlanReport> {
  const [{ model, files }, means] = await Promise.all([
    sources.find(request.model),
    meansOf(request, sources),
  ])
  const { here, inventory, wishes } = means
  const task = { requests: [await requestOf({ model, files }, means, sources)], inventory, together: false }
  const { models } = await (sources.workOut ?? workOut)(task)
  const result = firstOf(models)
  const run = runOf(result, wishes, here)
  const specs = result.ok ? specsOfPlan(result.plans[0], model, inventory, files, run) : []
  const report = { ...reportOf(result, model, specs, means.commandsOf), inventory }
  const [first] = specs
  const opinion = here && first && result.ok ? await sources.opinionOf?.(result.plans[0], first) : undefined
  return opinion ? { ...report, opinion } : report
}

/**
 * Plans several models that are to run at the same time. Their processes listen on ports one after the other. Throws as
 * `makePlan`, and `invalid_request` where two names mean one model.
 */
export async function makePlans(request: PlansQuery, sources: PlanSources): Promise<PlansReport> {
  const [subjects, means] = await Promise.all([
    Promise.all(request.models.map(({ model }) => sources.find(model))),
    meansOf(request, sources),
  ])
  refuseTwins(request.models, subjects)
  const { here, inventory, commandsOf } = means
  const requests = await Promise.all(
    subjects.map((subject, at) => requestOf(subject, means, sources, request.models[at])),
  )
  const task = { requests, inventory, together: true }
  const { models, reasons } = await (sources.workOut ?? workOut)(task)
  let port = firstPort
  const reports = subjects.flatMap(({ model, files }, at) => {
    const planned = models[at]
    if (!planned) return []
    const { result, ...turns } = planned
    const wishes = requests[at]?.wishes ?? means.wishes
    const run = { ...runOf(result, wishes, here), ...(port > firstPort && { port }) }
    const specs = result.ok ? specsOfPlan(result.plans[0], model, inventory, files, run) : []
    port += specs.length
    return [{ ...reportOf(result, model, specs, commandsOf), ...turns }]
  })
  return { ok: reports.every(({ ok }) => ok), models: reports, reasons, inventory }
}

/** The engines' own first port, beside which the others' are told. */
const firstPort = 8080

function refuseTwins(models: PlansQuery['models'], subjects: readonly PlanSubject[]): void {
  subjects.forEach(({ model, files }, at) => {
    const first = subjects.findIndex((one) => one.model.name === model.name || sameFiles(one.files, files))
    if (first === at) return
    throw new DroverError(
      'invalid_request',
      `"${models[first]?.model}" and "${models[at]?.model}" are one model, ${model.name}: "replicas" says how many copies are to run`,
    )
  })
}

/** One instance serves all names of the same files. */
function sameFiles(a: PlanSubject['files'], b: PlanSubject['files']): boolean {
  const key = ({ modelPath, adapterPaths }: PlanSubject['files']) => [modelPath, ...adapterPaths].join('|')
  return key(a) === key(b)
}

interface PlanMeans {
  /** For this machine, not for another one. */
  here: boolean
  inventory: Inventory
  commandsOf: CommandsOf
  wishes: PlanWishes
}

async function meansOf(request: PlanQuery | PlansQuery, sources: PlanSources): Promise<PlanMeans> {
  const here = request.inventory === undefined
  const [inventory, commandsOf] = await Promise.all([
    request.inventory ?? sources.machines(),
    sources.commandsOf(here),
  ])
  const configured = here ? sources.wishesFor?.(inventory, request.wishes.strategy) : undefined
  const wishes = { defaultContextLength: usualContextLength(inventory), ...configured, ...request.wishes }
  return { here, inventory, commandsOf, wishes }
}

/** What was learned here is of this machine's engines. */
async function requestOf(
  subject: PlanSubject,
  { here, inventory, wishes }: PlanMeans,
  sources: PlanSources,
  own?: Pick<PlannedModel, 'wishes' | 'priority'>,
): Promise<TaskRequest> {
  const corrections = here ? await sources.correctionsFor?.(subject, inventory) : undefined
  return {
    model: subject.model,
    wishes: { ...wishes, ...own?.wishes },
    ...(own?.priority !== undefined && { priority: own.priority }),
    ...(corrections && { corrections }),
  }
}

function firstOf([first]: PlansTogether['models']): PlanResult {
  if (!first) throw new DroverError('internal', 'a plan was asked for, and none was made')
  return first.result
}

/** Threads of a machine of which nobody told how many cores it has. */
const usualThreads = 8

function runOf(result: PlanResult, wishes: PlanWishes, here: boolean): RunParts {
  const { flashAttention, batchSize, kvCacheType } = wishes
  const type = result.ok ? result.plans[0].instances[0]?.kvCacheType : undefined
  // A cache of 8 bits was chosen, which needs it.
  const needed = kvCacheType === 'auto' && type !== undefined && type !== 'f16' ? 'on' : flashAttention
  return {
    ...(needed && { flashAttention: needed }),
    ...(batchSize !== undefined && { batchSize }),
    ...(!here && { threads: usualThreads }),
  }
}

/** The body of `POST /api/plan`; its fields are checked by the planner's own reader, which refuses unknown ones. */
export const planRequest = { ...goMap, jsonSchema: planRequestSchema as JsonSchema }

/** `POST /api/plan`: how one or several models would lie on these machines or others, and why; nothing is started. */
export async function plan(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, planRequest)
  return planned(context, request, reply, readPlanRequest(body))
}

/** `GET /api/plan?model=...&gpus=...`: the same by a query; `model` more than once are several models. */
export async function planQuery(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const { model, ...others } = request.query as Record<string, string | string[]>
  const query = {
    ...others,
    ...(Array.isArray(model) ? { models: model } : model !== undefined && { model }),
  }
  const texts = Object.fromEntries(
    Object.entries(query).map(([key, value]) => [key, [value].flat().join(',')]),
  )
  return planned(context, request, reply, planRequestFromQuery(texts))
}

async function planned(
  { plans }: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
  asked: PlanQuery | PlansQuery,
) {
  if (!plans) throw new DroverError('unsupported', 'this server makes no plans')
  request.exchange.model = asked.model ?? asked.models.map(({ model }) => model).join(', ')
  const report = asked.models ? await makePlans(asked, plans) : await makePlan(asked, plans)
  return sendJson(reply, JSON.stringify(report))
}
