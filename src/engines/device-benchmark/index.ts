export {
  type BenchmarkFigures,
  type BenchmarkOptions,
  type BenchmarkStage,
  type BenchmarkTemplate,
  benchmarkDevice,
} from './measure.ts'
export {
  type DeviceMeasurement,
  findMeasurement,
  identityOf,
  type MeasurementIdentity,
  measuredFacts,
  measurementsPath,
  readMeasurements,
  saveMeasurement,
} from './measurements.ts'
export { type BenchmarkModel, writeBenchmarkModel } from './model.ts'
