export { factsOf } from './facts.ts'
export { nvlinkGbPerSecond } from './nvlink.ts'
export { type GpuSpec, specTable } from './table.ts'
