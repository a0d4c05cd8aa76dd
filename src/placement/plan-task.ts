import type { Inventory, PlanModel, PlanWishes } from './contract.ts'
import type { Corrections } from './memory/corrections.ts'
import { costsOf } from './memory/costs.ts'
import { type CostsOf, type PlansTogether, planAll, planModel } from './planner/index.ts'

/** What is to be planned, as plain data: it may be worked out by another thread. */
export interface PlanTask {
  requests: readonly TaskRequest[]
  inventory: Inventory
  /** For models that are to run at the same time; else there is one request. */
  together: boolean
}

export interface TaskRequest {
  model: PlanModel
  wishes: PlanWishes
  /** Among several models; 0 by default. */
  priority?: number
  /** What was learned of the memory that such models take; absent: nothing. */
  corrections?: Corrections
}

/** Works plans out, by `planModel` or `planAll`. Pure; throws as they do. */
export function workOut({ requests, inventory, together }: PlanTask): PlansTogether {
  if (together) {
    const all = requests.map(({ corrections, ...request }) => ({ ...request, costs: costsBy(corrections) }))
    return planAll(all, inventory)
  }
  const models = requests.map(({ model, wishes, corrections }) => ({
    result: planModel(model, inventory, wishes, costsBy(corrections)),
    sharesWith: [],
  }))
  return { models, reasons: [] }
}

const costsBy =
  (corrections: Corrections | undefined): CostsOf =>
  (model, run) =>
    costsOf(model, run, corrections)
