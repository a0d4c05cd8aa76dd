export { planModel } from './plan.ts'
export type { CostsOf } from './runs.ts'
export { type PlanRequest, planAll } from './together.ts'
export { planVariants } from './variants.ts'
