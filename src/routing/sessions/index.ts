export type * from './contract.ts'
export { createSessionCache } from './session-cache.ts'
