export * from './decide.ts'
export { settle } from './settle.ts'
export * from './state.ts'
