export { type Trace, type TraceFormat, type TraceRequest, traceFormats } from './contract.ts'
export { readTrace } from './read.ts'
