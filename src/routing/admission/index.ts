export * from './contract.ts'
export { waitEstimateMs } from './estimate.ts'
export { defaultAdmissionLimits } from './limits.ts'
export { createAdmissionQueue } from './queue.ts'
