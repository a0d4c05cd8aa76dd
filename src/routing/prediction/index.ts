export * from './contract.ts'
export { createHistogram, type Histogram } from './histogram.ts'
export { createPredictor, type PredictorOptions } from './predictor.ts'
export { createRecent, type Recent } from './recent.ts'
