export { type Fit, type FitRequest, fitInstance } from './fit.ts'
export type { MemoryEstimate, MemoryWishes } from './memory.ts'
