export type * from './contract.ts'
export { type Fit, type FitRequest, fitInstance } from './fit.ts'
export type { MemoryEstimate, MemoryWishes } from './memory.ts'
export { instancesPerDevice, modelsPerDevice, replicasPerDevice, usableBytes } from './provisioning.ts'
export {
  confinementOf,
  selects,
  serverDevices,
  type WorkerDevice,
  type WorkerDevices,
  workerDevices,
} from './worker-devices.ts'
