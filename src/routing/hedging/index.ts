export * from './contract.ts'
export { createHedger } from './hedger.ts'
