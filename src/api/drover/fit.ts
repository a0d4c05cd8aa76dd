import type { FastifyReply, FastifyRequest } from 'fastify'
import { DroverError } from '../../inference/index.ts'
import { parseModelName, type Registry } from '../../models/index.ts'
import {
  type Inventory,
  type PlanModel,
  type PlanWishes,
  planModelOf,
  planVariants,
  type Rejected,
  usualContextLength,
  variantTags,
} from '../../placement/index.ts'
import type { ApiContext } from '../context.ts'
import { goBool, goString, goStruct } from '../go-json/index.ts'
import { readJson, sendJson } from '../http/index.ts'
import { modelRequired } from '../resolve.ts'

export const fitRequest = goStruct('api', 'FitRequest', { model: goString, insecure: goBool })

/** Which version of a registry's model fits, and why that one. */
export interface FittingVersion {
  /** To be pulled. */
  model: string
  fileType: string
  sizeBytes: number
  reasons: readonly string[]
  rejected: readonly Rejected[]
}

/** At a registry at once. */
const mostAtOnce = 4

interface Version {
  model: PlanModel
  sizeBytes: number
}

/** `POST /api/fit`: which version of a registry's model fits this machine; nothing is fetched but heads of files. */
export async function fittingVersion(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const { model = '', insecure = false } = await readJson(context, request, fitRequest)
  if (model === '') throw modelRequired
  request.exchange.model = model
  const { registry, plans } = context
  if (!plans) throw new DroverError('unsupported', 'this server makes no plans')
  const { signal } = request.exchange
  const [versions, inventory] = await Promise.all([
    versionsOf(registry, model, insecure, signal),
    plans.machines(),
  ])
  const configured = plans.wishesFor?.(inventory, undefined)
  const wishes = { defaultContextLength: usualContextLength(inventory), ...configured }
  return sendJson(reply, JSON.stringify(chooseVersion(model, versions, inventory, wishes)))
}

/** The versions that a registry has, the wanted one first. */
async function versionsOf(
  registry: Registry,
  text: string,
  insecure: boolean,
  signal: AbortSignal,
): Promise<Version[]> {
  const { tag } = parseModelName(text)
  const stem = text.replace(/:[^/:]*$/, '')
  const names = variantTags(tag, await registry.tags(text, { insecure }, signal)).map(
    (one) => `${stem}:${one}`,
  )
  const found: (Version | undefined)[] = []
  let next = 0
  const work = async () => {
    while (next < names.length) {
      const at = next++
      const name = names[at] ?? text
      const remote = await registry.inspect(name, { insecure }, signal)
      if (!remote) continue
      const { file, projectorBytes, sizeBytes } = remote
      const model = planModelOf({ name, file })
      found[at] = { model: { ...model, ...(projectorBytes !== undefined && { projectorBytes }) }, sizeBytes }
    }
  }
  await Promise.all(Array.from({ length: mostAtOnce }, work))
  return distinct(found.filter((version) => version !== undefined))
}

/** Several tags often mean one file. */
function distinct(versions: readonly Version[]): Version[] {
  const byFile = new Map<string, Version>()
  for (const version of versions) {
    const key = `${version.model.fileType} ${version.model.shape.weightBytes}`
    if (!byFile.has(key)) byFile.set(key, version)
  }
  return [...byFile.values()]
}

/** Throws `model_not_found` where there is none, `insufficient_memory` where none fits. */
function chooseVersion(
  text: string,
  versions: readonly Version[],
  inventory: Inventory,
  wishes: PlanWishes,
): FittingVersion {
  if (versions.length === 0) {
    throw new DroverError(
      'model_not_found',
      `the registry has no "${text}", nor another version of it that Drover can run`,
    )
  }
  const models = versions.map(({ model }) => model)
  const result = planVariants(models, inventory, wishes)
  if (!result.ok) throw new DroverError('insufficient_memory', result.message)
  const [best] = result.plans
  const chosen = versions.find(({ model }) => model.name === best.model)
  if (!chosen) throw new DroverError('internal', `the plan is for "${best.model}", which was not asked for`)
  const { name, fileType } = chosen.model
  return {
    model: name,
    fileType,
    sizeBytes: chosen.sizeBytes,
    reasons: best.reasons,
    rejected: result.rejected,
  }
}
