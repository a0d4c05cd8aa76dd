import type { Inventory, Plan, PlanModel, PlanResult, PlanWishes, Rejected } from '../contract.ts'
import { costsOf } from '../memory/costs.ts'
import { planModel } from './plan.ts'
import type { CostsOf } from './runs.ts'
import { gibibytes, rate } from './texts.ts'

/** Slower than people read, a finer file is no gain. */
const slowestReading = 8

/** Bits of a weight below which a model of so many parameters loses more than a smaller one would. */
const leastBits = [
  { parameters: 9e9, bits: 4 },
  { parameters: 36e9, bits: 3 },
  { parameters: Number.POSITIVE_INFINITY, bits: 0 },
]

/** How far a plan reaches: each step is worth a coarser file. */
export type Reach = 'one device' | 'one node' | 'host memory for experts' | 'several nodes' | 'the CPU'
export const reaches: readonly Reach[] = [
  'one device',
  'one node',
  'several nodes',
  'host memory for experts',
  'the CPU',
]

/**
 * The best of several files of one model, as of several quantisations: the finest that fits where any good one fits with
 * the least reach (one device, one node, several nodes, host memory), if it is then fast enough to read along. Files too
 * coarse for their size come last. Pure.
 */
export function planVariants(
  models: readonly PlanModel[],
  inventory: Inventory,
  wishes: PlanWishes,
  costs: CostsOf = costsOf,
): PlanResult {
  const tried = models.map((model) => ({ model, result: planModel(model, inventory, wishes, costs) }))
  const fitting = tried.flatMap(({ model, result }) =>
    result.ok ? [{ model, result, plan: result.plans[0] }] : [],
  )
  if (fitting.length === 0) return smallestRefusal(tried)
  const order = fitting.sort((a, b) => compare(a, b))
  const [best] = order
  if (!best) return smallestRefusal(tried)
  const others = order.slice(1)
  const reason = reasonOf(best, tried.length)
  const plan = { ...best.plan, reasons: [reason, ...best.plan.reasons] }
  const rejected = [
    ...others.map((other) => whyNot(best, other)),
    ...tried.flatMap(({ model, result }) =>
      result.ok ? [] : [{ what: titleOf(model), reason: result.message }],
    ),
  ]
  return {
    ok: true,
    plans: [plan, ...others.map((other) => other.plan), ...best.result.plans.slice(1)],
    rejected: [...rejected, ...best.result.rejected],
  }
}

interface Fitting {
  model: PlanModel
  result: Extract<PlanResult, { ok: true }>
  plan: Plan
}

function compare(a: Fitting, b: Fitting): number {
  return (
    Number(tooCoarse(a.model)) - Number(tooCoarse(b.model)) ||
    Number(tooSlow(a.plan)) - Number(tooSlow(b.plan)) ||
    reaches.indexOf(reachOf(a.plan)) - reaches.indexOf(reachOf(b.plan)) ||
    devicesOf(a.plan) - devicesOf(b.plan) ||
    bitsOf(b.model) - bitsOf(a.model) ||
    (a.model.name < b.model.name ? -1 : 1)
  )
}

function tooSlow({ speed }: Plan): boolean {
  return speed.decodeTokensPerS < slowestReading
}

/** Bits that a weight takes on average. */
export function bitsOf({ shape }: PlanModel): number {
  return shape.parameterCount > 0 ? (shape.weightBytes * 8) / shape.parameterCount : 0
}

function tooCoarse(model: PlanModel): boolean {
  const rule = leastBits.find(({ parameters }) => model.shape.parameterCount <= parameters)
  return bitsOf(model) < (rule?.bits ?? 0)
}

function devicesOf({ instances }: Plan): number {
  return instances[0]?.parts.filter(({ kind }) => kind === 'gpu').length ?? 0
}

/** How far a plan's first instance reaches. */
export function reachOf({ instances }: Plan): Reach {
  const parts = instances[0]?.parts ?? []
  if (parts.some(({ kind }) => kind === 'cpu')) return 'the CPU'
  if (parts.some(({ hostExperts }) => hostExperts.length > 0)) return 'host memory for experts'
  if (new Set(parts.map(({ node }) => node)).size > 1) return 'several nodes'
  return parts.length > 1 ? 'one node' : 'one device'
}

function titleOf({ name, fileType, shape }: PlanModel): string {
  return `${name} as ${fileType} (${gibibytes(shape.weightBytes)})`
}

function reasonOf({ model, plan }: Fitting, count: number): string {
  const bits = bitsOf(model).toFixed(1)
  return `Of ${count} files ${model.fileType} is taken (${bits} bits a weight): the finest that needs no more than ${reachOf(plan)}.`
}

function whyNot(best: Fitting, other: Fitting): Rejected {
  const what = titleOf(other.model)
  const speed = rate(other.plan.speed.decodeTokensPerS)
  if (tooCoarse(other.model))
    return {
      what,
      reason: `${bitsOf(other.model).toFixed(1)} bits a weight are too few for a model of its size`,
    }
  if (tooSlow(other.plan) && !tooSlow(best.plan))
    return { what, reason: `only ${speed}: slower than one reads` }
  const [mine, its] = [reachOf(best.plan), reachOf(other.plan)]
  if (its !== mine) return { what, reason: `needs ${its}, where ${best.model.fileType} needs ${mine}` }
  const more = devicesOf(other.plan) - devicesOf(best.plan)
  if (more > 0)
    return {
      what,
      reason: `needs ${devicesOf(other.plan)} devices, where ${best.model.fileType} needs ${devicesOf(best.plan)}`,
    }
  return { what, reason: `coarser, and ${best.model.fileType} fits as well (${speed})` }
}

/** Where no file fits: why the smallest one does not. */
function smallestRefusal(tried: readonly { model: PlanModel; result: PlanResult }[]): PlanResult {
  const [smallest] = [...tried].sort((a, b) => a.model.shape.weightBytes - b.model.shape.weightBytes)
  if (smallest) return smallest.result
  return {
    ok: false,
    message: 'no file of the model to plan',
    neededBytes: 0,
    usableBytes: 0,
    suggestions: ['pull the model first'],
    rejected: [],
  }
}
