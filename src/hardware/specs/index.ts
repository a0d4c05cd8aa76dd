export { factsOf } from './facts.ts'
export { nvlinkGbPerSecond } from './nvlink.ts'
export { specTable } from './table.ts'
