export { factsOf } from './facts.ts'
export { type CardTraits, specOf } from './lookup.ts'
export { nvlinkGbPerSecond } from './nvlink.ts'
export { type GpuSpec, specTable } from './table.ts'
