import {
  type Inventory,
  modelsPerDevice,
  type PlanModel,
  planAll,
  usualContextLength,
} from '../../placement/index.ts'
import { type ModelPlan, planOf } from './model-plan.ts'

/** Which of a store's models can be loaded at the same time. */
export interface TogetherExamined {
  models: {
    name: string
    /** Of the same file: one instance serves all names. */
    aliases: readonly string[]
    plan: ModelPlan
    /** Models that compute on the same devices: they take turns. */
    sharesWith: readonly string[]
  }[]
  /** Those without room beside the others, and who would have to leave for them. */
  leftOut: { name: string; aliases: readonly string[]; reason: string; evicts: readonly string[] }[]
  /** How the planner chose. */
  reasons: readonly string[]
  /** What a server has loaded at once at most. */
  maxLoadedModels: number
}

/** A model that fits alone. */
export interface FittingModel {
  model: PlanModel
  /** The same for names that mean the same files. */
  key: string
}

/** Plans the models of a store side by side; undefined where there are less than two. `maxLoadedModels` 0: as by default. */
export function examineTogether(
  fitting: readonly FittingModel[],
  inventory: Inventory,
  maxLoadedModels: number,
): TogetherExamined | undefined {
  const files = [...Map.groupBy(fitting, ({ key }) => key).values()]
  if (files.length < 2) return undefined
  const wishes = { defaultContextLength: usualContextLength(inventory) }
  const requests = files.flatMap(([first]) => (first ? [{ model: first.model, wishes }] : []))
  const { models, reasons } = planAll(requests, inventory)
  const found: TogetherExamined = {
    models: [],
    leftOut: [],
    reasons,
    maxLoadedModels: maxLoadedModels || modelsPerDevice * Math.max(1, inventory.devices.length),
  }
  models.forEach(({ result, sharesWith, evicts = [] }, at) => {
    const [name = '', ...aliases] = (files[at] ?? []).map(({ model }) => model.name)
    if (result.ok) found.models.push({ name, aliases, plan: planOf(result.plans[0]), sharesWith })
    else found.leftOut.push({ name, aliases, reason: result.message.split('; ')[0] ?? '', evicts })
  })
  return found
}
