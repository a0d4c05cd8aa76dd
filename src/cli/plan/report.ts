import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { parse as parseYaml } from 'yaml'
import { makePlan, makePlans, type PlanSources, type PlanSubject } from '../../api/index.ts'
import { openStore, readGguf, readSafetensors } from '../../models/index.ts'
import { createLogger, stderrDestination } from '../../observability/index.ts'
import {
  type PlanReport,
  type PlanRequestBody,
  type PlansReport,
  parseInventory,
  planModelOf,
  readPlanRequest,
} from '../../placement/index.ts'
import { createPlanSources, localPlanMeans, runDirPath } from '../../server/index.ts'
import { createClient, ServerError } from '../client.ts'
import { messageOf } from '../errors.ts'
import { readSettings } from '../settings.ts'
import type { PlanFlags } from './flags.ts'
import { type ModelWithWishes, modelWithWishes } from './model-wishes.ts'

/**
 * The plan that the command asks for, of several models that of all at the same time: of files by this process, of names
 * by the server where one runs that makes plans, else from the store. Throws in readable words.
 */
export async function reportFor(
  models: readonly string[],
  flags: PlanFlags,
): Promise<PlanReport | PlansReport> {
  const wanted = models.map(modelWithWishes)
  const body = await bodyOf(wanted, flags)
  const found = await Promise.all(
    wanted.map(async ({ model }) => ({ name: model, subject: await fileSubject(model) })),
  )
  const files = new Map(found.flatMap(({ name, subject }) => (subject ? [[name, subject]] : [])))
  if (files.size > 0) return local(body, files)
  return (await byServer(body)) ?? local(body, files)
}

async function bodyOf(models: readonly ModelWithWishes[], flags: PlanFlags): Promise<PlanRequestBody> {
  const { gpus, inventory, strategy, ctx, slots, kvCacheType, replicas, tensorSize, pipelineSize } = flags
  const { pin, avoid, objective, maxWatts, reserve, engine, offload } = flags
  const body: { [Key in keyof PlanRequestBody]: PlanRequestBody[Key] | undefined } = {
    gpus,
    inventory: inventory === undefined ? undefined : await inventoryIn(inventory),
    strategy,
    context_length: ctx,
    slots,
    kv_cache_type: kvCacheType,
    replicas,
    tensor_size: tensorSize,
    pipeline_size: pipelineSize,
    pin,
    avoid,
    objective,
    max_watts: maxWatts,
    reserve,
    engines: engine && [engine],
    ...(!offload && { cpu_offload: false, expert_offload: false }),
    ...(models.length > 1 ? { models: models.map(plainName) } : models[0]),
  }
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined))
}

/** By its name alone where it has no wishes, as a server of before knows it. */
function plainName(one: ModelWithWishes): string | ModelWithWishes {
  return Object.keys(one).length === 1 ? one.model : one
}

/** The content of an inventory file, read once to tell what is wrong with which line. */
async function inventoryIn(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8')
  try {
    parseInventory(text)
  } catch (error) {
    throw new Error(`${path}: ${messageOf(error)}`, { cause: error })
  }
  return parseYaml(text)
}

/** A model that is a file here. */
async function fileSubject(path: string): Promise<PlanSubject | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
    if (isPath(path)) throw new Error(`${path}: there is no such file`, { cause: error })
    return undefined
  })
  if (found?.isDirectory()) return folderSubject(path)
  if (!found?.isFile()) return undefined
  const name = basename(path).replace(/\.gguf$/i, '')
  return {
    model: planModelOf({ name, file: await readGguf(path) }),
    files: { modelPath: path, projectorPaths: [], adapterPaths: [] },
  }
}

/** Written as a file is, and as no model is called. */
const isPath = (text: string) => /^(\.{0,2}\/|~\/)/.test(text) || /^[^:]*\.gguf$/i.test(text)

/** A model in Hugging Face's layout. A folder that is none, and happens to have a model's name, is passed over. */
async function folderSubject(path: string): Promise<PlanSubject | undefined> {
  if (!(await readdir(path)).includes('config.json')) return undefined
  const { shape, fileType } = await readSafetensors(path)
  const format = /^exl/i.test(fileType) ? 'exl' : 'safetensors'
  return {
    model: { name: basename(resolve(path)), shape, fileType, format },
    files: { modelPath: path, projectorPaths: [], adapterPaths: [] },
  }
}

/** Undefined where no server answers, or one that makes no plans: Ollama, or an older Drover. */
async function byServer(body: PlanRequestBody): Promise<PlanReport | PlansReport | undefined> {
  const client = createClient(readSettings().config.host)
  try {
    await client.heartbeat()
  } catch {
    // Nobody there, whatever the reason: the store can be read without a server.
    return undefined
  }
  try {
    return await client.post<PlanReport | PlansReport>('/api/plan', body)
  } catch (error) {
    if (error instanceof ServerError && error.status === 404 && !/^model/.test(error.message))
      return undefined
    throw error
  }
}

async function local(
  body: PlanRequestBody,
  files: ReadonlyMap<string, PlanSubject>,
): Promise<PlanReport | PlansReport> {
  const { config } = readSettings()
  const level = config.logLevel === 'info' ? 'warn' : config.logLevel
  const log = createLogger({ level, pretty: process.stderr.isTTY === true, destination: stderrDestination() })
  const store = await openStore({ root: config.modelsDir, log, prunes: false })
  const sources: PlanSources = createPlanSources(
    config,
    store,
    () => localPlanMeans(config, runDirPath(), log),
    log,
  )
  const withFiles = { ...sources, find: async (name: string) => files.get(name) ?? sources.find(name) }
  const request = readPlanRequest(body)
  return request.models ? makePlans(request, withFiles) : makePlan(request, withFiles)
}
