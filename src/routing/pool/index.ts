export type * from './contract.ts'
export { createPool } from './pool.ts'
