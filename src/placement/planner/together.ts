import type { Inventory, Plan, PlanResult, PlanWishes } from '../contract.ts'
import { costsOf } from '../memory/costs.ts'
import { devicesOfPlans, leftBy } from './left-by.ts'
import { bestPlan, planModel } from './plan.ts'
import type { PlanRequest } from './request.ts'
import { type Squeeze, squeezesOf } from './squeezes.ts'
import { countOf } from './texts.ts'
import { type Turns, takeTurns } from './turns.ts'
import { reaches, reachOf } from './variants.ts'

/** A model among others, in the order of the requests. */
export interface PlannedTogether extends Turns {
  /** As if nothing else computed on its devices; where it has no place, why. */
  result: PlanResult
}

export interface PlansTogether {
  models: readonly PlannedTogether[]
  /** What was decided for all of them: sentences. */
  reasons: readonly string[]
}

/** A model with its place, among the requests that have one if they are alone. */
interface Candidate {
  request: PlanRequest
  at: number
  /** How far it reaches alone, by the order of `reaches`. */
  reach: number
}

/** Plans of the candidates in the order in which they are placed; absent: no room. */
interface Attempt {
  order: readonly Candidate[]
  plans: readonly (Plan | undefined)[]
  /** How much worse all have it than each alone: 0 at best. */
  harm: number
}

/** A model less outweighs any number of models that reach further than they would alone. */
const harmOfOneLess = 1000

/**
 * Plans several models side by side. By priority, then those first that devices hold, then the largest, as it has the
 * fewest places, each is laid on what those before it leave. Where one finds no room so, or has to reach further than it
 * would alone (other devices, host memory), slots and contexts that are open become less, for all alike and by as little
 * as helps; then, if some find no room yet, those have it that leave it to the largest number of others. At last each
 * takes what is left, and idle devices become replicas where their number is open. Pure.
 */
export function planAll(requests: readonly PlanRequest[], inventory: Inventory): PlansTogether {
  const alone = requests.map(({ model, wishes, costs }) =>
    planModel(model, inventory, { ...wishes, replicas: wishes.replicas ?? 1 }, costs),
  )
  const candidates = requests.flatMap((request, at): Candidate[] => {
    const result = alone[at]
    return result?.ok ? [{ request, at, reach: reaches.indexOf(reachOf(result.plans[0])) }] : []
  })
  const squeezes = squeezesOf(candidates.map(({ request }) => request))
  const { attempt, step } = leastSqueezed(candidates, squeezes, inventory)
  const grown = grow(attempt, squeezes.slice(Math.max(0, step - 1), step + 1), inventory)
  const plans = withReplicas(attempt.order, grown, inventory)
  const placed = attempt.order.map(({ request, at }, index) => ({ request, at, plan: plans[index] }))
  const models = alone.flatMap((result, at): PlannedTogether[] => {
    const request = requests[at]
    if (!request) return []
    return [
      result.ok ? takeTurns({ request, at, alone: result }, placed, inventory) : { result, sharesWith: [] },
    ]
  })
  return { models, reasons: reasonsOf(attempt, squeezes[step]) }
}

function planOne(
  { model, wishes, costs = costsOf }: PlanRequest,
  inventory: Inventory,
  more: Partial<PlanWishes> = {},
): Plan | undefined {
  return bestPlan(model, inventory, { ...wishes, replicas: wishes.replicas ?? 1, ...more }, costs)
}

function placingOrder(a: Candidate, b: Candidate): number {
  return (
    byPriority(a, b) ||
    Number(a.reach > lastOnDevices) - Number(b.reach > lastOnDevices) ||
    -bySize(a, b) ||
    a.at - b.at
  )
}

const lastOnDevices = reaches.indexOf('several nodes')
const byPriority = (a: Candidate, b: Candidate) => (b.request.priority ?? 0) - (a.request.priority ?? 0)
const bySize = (a: Candidate, b: Candidate) =>
  a.request.model.shape.weightBytes - b.request.model.shape.weightBytes

/** The first of the squeezes under which all have it as well as under the last. */
function leastSqueezed(
  candidates: readonly Candidate[],
  squeezes: readonly Squeeze[],
  inventory: Inventory,
): { attempt: Attempt; step: number } {
  const usual = candidates.toSorted(placingOrder)
  const first = place(usual, squeezes[0], inventory)
  if (first.harm === 0) return { attempt: first, step: 0 }
  const tightest = mostPlaced(usual, squeezes.at(-1), inventory)
  const { order } = tightest
  let [low, high, best] = [-1, squeezes.length - 1, tightest]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    const attempt = place(order, squeezes[middle], inventory)
    if (attempt.harm <= tightest.harm) {
      high = middle
      best = attempt
    } else low = middle
  }
  return { attempt: best, step: high }
}

/** Where not all have room: the smallest first leave it to the most, who are then placed in the usual order. */
function mostPlaced(usual: readonly Candidate[], squeeze: Squeeze, inventory: Inventory): Attempt {
  const attempt = place(usual, squeeze, inventory)
  if (attempt.harm < harmOfOneLess) return attempt
  const smallFirst = place(
    usual.toSorted((a, b) => byPriority(a, b) || bySize(a, b) || a.at - b.at),
    squeeze,
    inventory,
  )
  const has = new Set(smallFirst.order.filter((_, index) => smallFirst.plans[index]))
  const again = place(
    [...usual.filter((one) => has.has(one)), ...usual.filter((one) => !has.has(one))],
    squeeze,
    inventory,
  )
  return [attempt, again, smallFirst].reduce((best, one) => (one.harm < best.harm ? one : best))
}

function place(order: readonly Candidate[], beside: Squeeze, inventory: Inventory): Attempt {
  const plans: (Plan | undefined)[] = []
  let harm = 0
  for (const { request, reach } of order) {
    const left = leftBy(present(plans), inventory, true)
    const plan = planOne(request, left, beside && { beside })
    plans.push(plan)
    harm += plan ? Math.max(0, reaches.indexOf(reachOf(plan)) - reach) : harmOfOneLess
  }
  return { order, plans, harm }
}

/**
 * Each in turn takes on its devices what the others leave, up to what one squeeze less would have allowed; then who had
 * no room has it wherever there is some yet.
 */
function grow(
  { order, plans }: Attempt,
  squeezes: readonly Squeeze[],
  inventory: Inventory,
): (Plan | undefined)[] {
  const grown = [...plans]
  order.forEach(({ request }, index) => {
    const plan = grown[index]
    if (!plan) return
    const left = leftBy(present(grown.filter((_, other) => other !== index)), inventory, false)
    const own = devicesOfPlans([plan])
    const others = inventory.devices.flatMap(({ id }) => (own.has(id) ? [] : [id]))
    const avoid = [...(request.wishes.avoid ?? []), ...others]
    for (const beside of squeezes) {
      const more = planOne(request, left, { avoid, ...(beside && { beside }) })
      if (!more || reaches.indexOf(reachOf(more)) > reaches.indexOf(reachOf(plan))) continue
      grown[index] = more
      return
    }
  })
  order.forEach(({ request }, index) => {
    if (grown[index]) return
    grown[index] = planOne(request, leftBy(present(grown), inventory, true))
  })
  return grown
}

/** Instances on idle devices: first each model on its share of them, then on what is left whoever can use it. */
function withReplicas(
  order: readonly Candidate[],
  plans: readonly (Plan | undefined)[],
  inventory: Inventory,
): (Plan | undefined)[] {
  const all = [...plans]
  for (const shared of [true, false]) {
    order.forEach(({ request }, index) => {
      const plan = all[index]
      if (!plan || !takesReplicas(request, plan)) return
      const used = devicesOfPlans(present(all))
      const idle = inventory.devices.filter(({ id }) => !used.has(id))
      const [lead] = plan.instances
      const count = shared
        ? Math.floor(idle.length / (order.length - index) / (lead?.parts.length ?? 1))
        : undefined
      if (idle.length === 0 || count === 0) return
      const left = leftBy(present(all), inventory, true)
      const more = replicasOf(request, { ...left, devices: idle }, plan, count)
      if (more) all[index] = joined(plan, more)
    })
  }
  return all.map((plan, index) => plan && (plan === plans[index] ? plan : withReason(plan)))
}

function withReason(plan: Plan): Plan {
  const { length } = plan.instances
  const reason = `${length} instances serve it: the others are on devices that no model of these needs.`
  return { ...plan, reasons: [...plan.reasons, reason] }
}

function takesReplicas({ wishes: { strategy, replicas } }: PlanRequest, { instances }: Plan): boolean {
  const open =
    replicas === undefined && (strategy === undefined || strategy === 'data' || strategy === 'hybrid')
  const onDevices = instances.every(({ parts }) =>
    parts.every(({ kind, hostExperts }) => kind === 'gpu' && hostExperts.length === 0),
  )
  return open && onDevices
}

/** Like the first: for the same context, and nothing of them in host memory. */
function replicasOf(
  { model, wishes, costs = costsOf }: PlanRequest,
  idle: Inventory,
  { instances: [lead] }: Plan,
  replicas: number | undefined,
): Plan | undefined {
  if (!lead) return undefined
  const same: PlanWishes = {
    ...wishes,
    contextLength: lead.contextLength,
    kvCacheType: lead.kvCacheType,
    acrossNodes: false,
    cpuOffload: false,
    expertOffload: false,
    ...(lead.parts.length === 1 && { strategy: 'data' as const }),
    ...(replicas !== undefined && { replicas }),
  }
  return bestPlan(model, idle, same, costs)
}

function joined(a: Plan, b: Plan): Plan {
  const instances = [...a.instances, ...b.instances]
  const divided = instances.some(({ parts }) => parts.length > 1)
  const throughputTokensPerS = a.speed.throughputTokensPerS + b.speed.throughputTokensPerS
  const { watts: ofA } = a.speed
  const { watts: ofB } = b.speed
  const { watts: _, ...speed } = a.speed
  return {
    ...a,
    strategy: divided ? 'hybrid' : 'data',
    instances,
    speed: {
      ...speed,
      throughputTokensPerS,
      ...(ofA !== undefined && ofB !== undefined && { watts: ofA + ofB }),
    },
  }
}

function reasonsOf({ order }: Attempt, squeeze: Squeeze): string[] {
  const names = order.map(({ request }) => request.model.name)
  const first = names.length > 1 ? [`Placed one after the other: ${names.join(', ')}.`] : []
  if (!squeeze) return first
  const { slots, contextLength } = squeeze
  const most = [
    ...(slots === undefined ? [] : [countOf(slots, 'slot')]),
    ...(contextLength === undefined ? [] : [`${contextLength} tokens`]),
  ]
  return [
    ...first,
    `Each has at most ${most.join(' of ')} where these are open: with more, not all would have as good a place as alone, or as near to it as there is.`,
  ]
}

const present = (plans: readonly (Plan | undefined)[]): Plan[] => plans.filter((plan) => plan !== undefined)
