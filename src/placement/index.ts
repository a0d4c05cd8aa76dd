export type * from './contract.ts'
export { famousModelNames, findFamous } from './famous.ts'
export { type Fit, type FitRequest, fitInstance } from './fit.ts'
export { type SpecBase, type SpecPlaces, specOfPlan } from './instance-spec.ts'
export {
  backendOf,
  type FoundMachine,
  hostShare,
  inventoryFrom,
  inventoryOf,
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
export { estimateMemory, type MemoryEstimate, type MemoryWishes, runShapeOf } from './memory/estimate.ts'
export {
  bitsPerWeight,
  fitVariants,
  type ModelVariant,
  requantised,
  type VariantChoice,
  type VariantFit,
  type VariantWishes,
} from './memory/variants.ts'
export { drawPlan, type PictureOptions } from './picture/index.ts'
export { type ModelParts, planModelOf } from './plan-model.ts'
export {
  type PlanRequest,
  type PlanRequestBody,
  planRequestFromQuery,
  planRequestSchema,
  readPlanRequest,
  usualContextLength,
} from './plan-request.ts'
export { type CostsOf, planModel } from './planner/index.ts'
export { instancesPerDevice, modelsPerDevice, replicasPerDevice, usableBytes } from './provisioning.ts'
export * from './reconciler/index.ts'
export {
  type CommandsOf,
  type InstanceCommands,
  type ModelFiles,
  type PlanReport,
  type RunParts,
  reportOf,
  specsOfPlan,
} from './report.ts'
export { type ConfiguredWishes, engineEnvironment, unlistedGpus, wishesFrom } from './wishes.ts'
export {
  confinementOf,
  selects,
  serverDevices,
  type WorkerDevice,
  type WorkerDevices,
  workerDevices,
} from './worker-devices.ts'
