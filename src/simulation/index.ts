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
export { drawPlot } from './report/plot.ts'
export { type Objective, type Summary, summarise } from './report/summary.ts'
export { textReport } from './report/table.ts'
export { droverRouter, omniscientRouter } from './router.ts'
export { simulate } from './run.ts'
export { readTrace, type Trace, type TraceFormat, type TraceRequest, traceFormats } from './traces/index.ts'
export { capacityOf, workloadOf } from './workload.ts'
