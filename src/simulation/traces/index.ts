export type { Trace, TraceFormat, TraceRequest } from './contract.ts'
export { readTrace } from './read.ts'
