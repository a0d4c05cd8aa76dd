export { type Cluster, type ClusterInstance, clusterOf, readCluster } from './cluster.ts'
export * from './engine/index.ts'
export {
  type Experiment,
  type ExperimentOptions,
  type RouterName,
  type Row,
  routerNames,
  runExperiment,
} from './experiment.ts'
export type { Measured, Run } from './measured.ts'
export { createMockEngine, type MockEngineOptions } from './mock-engine/index.ts'
export { createRandom, exponentialOf, type Random } from './random.ts'
export { drawPlot, drawQuantiles, type QuantileLine } from './report/plot.ts'
export type { Objective, Summary } from './report/summary.ts'
export { textReport, time } from './report/table.ts'
export { readTrace, type Trace, type TraceFormat, type TraceRequest } from './traces/index.ts'
