import type { ModelCosts, PlanDevice, PlanInstance, PlanModel, PlanWishes, RunShape } from '../contract.ts'
import type { Wire } from '../speed/index.ts'
import type { Layout } from './layout.ts'
import type { Runs } from './runs.ts'
import type { World } from './survey.ts'

/** What a search goes by. */
export interface Search {
  model: PlanModel
  wishes: PlanWishes
  runs: Runs
  world: World
  fits: Fits
}

/** A layout that holds the model. */
export interface Candidate {
  layout: Layout
  instance: PlanInstance
  run: RunShape
  /** Place of the run among `Runs.levels`: 0 is what was wanted most. */
  level: number
  costs: ModelCosts
  /** Of one stream; the rest of its speed is worked out where something hangs on it. */
  decodeTokensPerS: number
}

/**
 * Layouts of one node that were fitted before, by all that memory and speed depend on: devices alike, joined alike, hold
 * and do the same. Of a thousand cards of a kind few layouts are unlike.
 */
export interface Fits {
  found: Map<string, Candidate | undefined>
  /** Short names of what devices and ways are, and of those that were met. */
  codes: Map<string | PlanDevice | Wire, number>
}
