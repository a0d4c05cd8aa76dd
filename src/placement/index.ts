export { type Fit, type FitRequest, fitInstance } from './fit.ts'
export { estimateMemory, type MemoryEstimate, type MemoryWishes } from './memory.ts'
