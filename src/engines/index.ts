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
export { createExllamaEngine } from './exllama/index.ts'
export {
  abilitiesOf,
  type ChainLink,
  createFallbackEngine,
} from './fallback.ts'
export {
  type InstalledEngine,
  type InstallProgress,
  installLlamaCpp,
  listInstalled,
  removeEngine,
} from './install/index.ts'
export {
  askFitParams,
  createLlamaCppEngine,
  createRpcNode,
  describeRpcWorker,
  ensureTunnelKey,
  type NetworkFacts,
  type RpcNode,
  type SecondOpinion,
} from './llamacpp/index.ts'
export { createOllamaEngine } from './ollama/index.ts'
export { createOpenAiEngine, type OpenAiTarget, serverVariable } from './openai/index.ts'
export { startGuardian } from './process/index.ts'
export type * from './session-store.ts'
export { createSglangEngine } from './sglang/index.ts'
export { pickSlot } from './slot-choice.ts'
export { superviseEngine } from './supervise.ts'
export { createVllmEngine } from './vllm/index.ts'
