import type { Policy, PolicyName } from './contract.ts'
import { kvCost } from './kv-cost.ts'
import { latencyTarget } from './latency-target.ts'
import { leastEffectiveLoad } from './least-effective-load.ts'
import { leastLoaded } from './least-loaded.ts'
import { locality } from './locality.ts'
import { performanceAware } from './performance-aware.ts'
import { powerAware } from './power-aware.ts'
import { powerOfTwo } from './power-of-two.ts'
import { predictedFinish } from './predicted-finish.ts'
import { prefix } from './prefix.ts'
import { roundRobin } from './round-robin.ts'
import { weightedRoundRobin } from './weighted-round-robin.ts'

/** Every policy, by the name that configuration and requests give it. */
export const policies: Readonly<Record<PolicyName, Policy>> = {
  predicted_finish: predictedFinish,
  round_robin: roundRobin,
  weighted_round_robin: weightedRoundRobin,
  least_loaded: leastLoaded,
  least_effective_load: leastEffectiveLoad,
  power_of_two: powerOfTwo,
  locality,
  prefix,
  kv_cost: kvCost,
  latency_target: latencyTarget,
  power_aware: powerAware,
  performance_aware: performanceAware,
}

export { type Filtered, filterCandidates } from './constraints.ts'
export type * from './contract.ts'
export { policyNames } from './contract.ts'
export { predict } from './costs.ts'
