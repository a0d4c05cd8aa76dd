export type * from './contract.ts'
export { famousModelNames, findFamous } from './famous.ts'
export { type Fit, type FitRequest, fitInstance } from './fit.ts'
export { type SpecBase, type SpecPlaces, specOfPlan } from './instance-spec.ts'
export {
  backendOf,
  type FoundMachine,
  hostShare,
  inventoryWithLent,
  parseGpuList,
  parseInventory,
} from './inventory/index.ts'
export {
  type Corrections,
  correctionsFor,
  type LearnedMemory,
  learn,
  type MemoryByKind,
  type MemoryKey,
  readLearned,
} from './memory/corrections.ts'
export { costsOf } from './memory/costs.ts'
export { estimateMemory, type MemoryEstimate, type MemoryWishes } from './memory/estimate.ts'
export { cacheTypeFor } from './memory/kv-cache.ts'
export { describePlan, drawPlan, drawPlans, letterOf, type PictureOptions } from './picture/index.ts'
export { type ModelParts, planModelOf } from './plan-model.ts'
export {
  type PlannedModel,
  type PlanQuery,
  type PlanRequestBody,
  type PlansQuery,
  planRequestFromQuery,
  planRequestSchema,
  queryValue,
  readPlanRequest,
  usualContextLength,
} from './plan-request.ts'
export { type PlanTask, type TaskRequest, workOut } from './plan-task.ts'
export {
  type CostsOf,
  type PlanRequest,
  type PlansTogether,
  planAll,
  planModel,
  planVariants,
} from './planner/index.ts'
export { instancesPerDevice, modelsPerDevice, replicasPerDevice, usableBytes } from './provisioning.ts'
export * from './reconciler/index.ts'
export {
  type CommandsOf,
  type InstanceCommands,
  type ModelFiles,
  type ModelReport,
  type PlanReport,
  type PlansReport,
  type RunParts,
  reportOf,
  specsOfPlan,
} from './report.ts'
export { variantTags } from './variant-tags.ts'
export { type ConfiguredWishes, engineEnvironment, unlistedGpus, wishesFrom } from './wishes.ts'
export {
  confinementOf,
  selects,
  serverDevices,
  type WorkerDevice,
  type WorkerDevices,
  workerDevices,
} from './worker-devices.ts'
