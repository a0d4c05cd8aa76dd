import type { PlanModel, PlanWishes } from '../contract.ts'
import type { CostsOf } from './runs.ts'

/** One of several models that are to run at the same time; their names differ. */
export interface PlanRequest {
  model: PlanModel
  wishes: PlanWishes
  /** The highest is placed first; 0 by default. */
  priority?: number
  /** As of `planModel`. */
  costs?: CostsOf
}
