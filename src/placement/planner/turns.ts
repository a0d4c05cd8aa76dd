import type { Inventory, Plan, PlanResult } from '../contract.ts'
import { costsOf } from '../memory/costs.ts'
import { speedOf } from '../speed/index.ts'
import { computesOn, leftBy } from './left-by.ts'
import { bestPlan, planModel } from './plan.ts'
import type { PlanRequest } from './request.ts'
import { runsOf } from './runs.ts'
import { rate } from './texts.ts'
import { reaches, reachOf } from './variants.ts'

/** What a model has to do with the others. */
export interface Turns {
  /** Names of those that compute on devices of its, too: they take turns. */
  sharesWith: readonly string[]
  /** One stream while all of those compute. */
  sharedDecodeTokensPerS?: number
  /** Of a model without a place, though alone it has one: who would have to leave for it. */
  evicts?: readonly string[]
}

interface Placed {
  request: PlanRequest
  at: number
  plan: Plan | undefined
}

interface Subject {
  request: PlanRequest
  at: number
  alone: Extract<PlanResult, { ok: true }>
}

/** A model's part of plans side by side: with whom it shares devices, or who would have to leave for it. Pure. */
export function takeTurns(
  { request, at, alone }: Subject,
  placed: readonly Placed[],
  inventory: Inventory,
): Turns & { result: PlanResult } {
  const own = placed.find((one) => one.at === at)?.plan
  const others = placed.filter((one) => one.at !== at)
  if (!own) return leftOut(request, others, inventory)
  const where = computesOn(own)
  const sharing = others.filter(({ plan }) => plan && [...computesOn(plan)].some((id) => where.has(id)))
  const reasons = [...own.reasons, ...aloneReasons(own, alone.plans[0])]
  const sharesWith = sharing.map((one) => one.request.model.name)
  const result: PlanResult = { ok: true, plans: [{ ...own, reasons }], rejected: alone.rejected }
  if (sharing.length === 0) return { result, sharesWith }
  const busy = sharing.flatMap(({ plan }) => plan ?? [])
  return { result, sharesWith, sharedDecodeTokensPerS: sharedSpeed(request, own, busy, inventory) }
}

function aloneReasons(own: Plan, alone: Plan): string[] {
  const [reach, could] = [reachOf(own), reachOf(alone)]
  if (reaches.indexOf(reach) <= reaches.indexOf(could)) return []
  return [
    `Alone it would need no more than ${could}, for about ${rate(alone.speed.decodeTokensPerS)}: the others have that room.`,
  ]
}

/** Processes that compute on one device have it in turns: of several that are busy, each has an equal part of its rates. */
function sharedSpeed(request: PlanRequest, own: Plan, others: readonly Plan[], inventory: Inventory): number {
  const { model, wishes, costs = costsOf } = request
  const [lead] = own.instances
  const users = new Map<string, number>()
  for (const plan of [own, ...others]) {
    for (const id of computesOn(plan)) users.set(id, (users.get(id) ?? 0) + 1)
  }
  const slowed = <Place extends { id: string; memoryBytesPerS: number; flopsPerS: number }>(place: Place) => {
    const count = users.get(place.id) ?? 1
    return { ...place, memoryBytesPerS: place.memoryBytesPerS / count, flopsPerS: place.flopsPerS / count }
  }
  const { contextLength = 0, slots = 1, kvCacheType = 'f16' } = lead ?? {}
  const runs = runsOf(model, { ...wishes, contextLength, slots, kvCacheType }, costs)
  const [run] = runs.levels
  if (!run) return own.speed.decodeTokensPerS
  const shared = { ...inventory, nodes: inventory.nodes.map(slowed), devices: inventory.devices.map(slowed) }
  return speedOf(own.instances, runs.costs(run), shared, model, wishes).decodeTokensPerS
}

function leftOut(
  request: PlanRequest,
  others: readonly Placed[],
  inventory: Inventory,
): Turns & { result: PlanResult } {
  const running = others.flatMap((other) =>
    other.plan ? [{ model: other.request.model, plan: other.plan }] : [],
  )
  const { model, wishes, costs } = request
  const one = { ...wishes, replicas: wishes.replicas ?? 1 }
  const roomBeside = (left: readonly { plan: Plan }[]) => {
    const plans = left.map(({ plan }) => plan)
    return leftBy(plans, inventory, true)
  }
  const result = planModel(model, roomBeside(running), one, costs)
  const evicts = victimsOf(running, (left) => bestPlan(model, roomBeside(left), one, costs) !== undefined)
  const names = running.map((other) => other.model.name).join(', ')
  if (result.ok) throw new Error(`"${model.name}" has room beside ${names}, and was left out`)
  return {
    result: { ...result, message: `beside ${names}: ${result.message}` },
    sharesWith: [],
    evicts: evicts.map((other) => other.model.name),
  }
}

/** The one that loads again fastest if its leaving is enough; else as many as it takes, in that order. */
function victimsOf<One extends { model: PlanRequest['model'] }>(
  running: readonly One[],
  fits: (left: readonly One[]) => boolean,
): One[] {
  const bySize = running.toSorted((a, b) => a.model.shape.weightBytes - b.model.shape.weightBytes)
  const without = (gone: readonly One[]) => running.filter((one) => !gone.includes(one))
  const single = bySize.find((one) => fits(without([one])))
  if (single) return [single]
  const count = bySize.findIndex((_, index) => fits(without(bySize.slice(0, index + 1))))
  return count < 0 ? bySize : bySize.slice(0, count + 1)
}
