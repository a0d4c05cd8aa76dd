export type * from './contract.ts'
export {
  type BenchmarkStage,
  type BenchmarkTemplate,
  benchmarkDevice,
  type DeviceMeasurement,
  findMeasurement,
  identityOf,
  measuredFacts,
  measurementsPath,
  readMeasurements,
  saveMeasurement,
  writeBenchmarkModel,
} from './device-benchmark/index.ts'
export { createEmbeddedEngine } from './embedded/index.ts'
export {
  type InstalledEngine,
  type InstallProgress,
  installLlamaCpp,
  listInstalled,
  removeEngine,
} from './install/index.ts'
export { createLlamaCppEngine } from './llamacpp/index.ts'
export { createOllamaEngine } from './ollama/index.ts'
export { startGuardian } from './process/index.ts'
export { pickSlot } from './slot-choice.ts'
export { superviseEngine } from './supervise.ts'
