export * from './contract.ts'
export { createHedger, defaultHedgeOptions } from './hedger.ts'
