export { parseXid } from './kernel-log.ts'
export { createNvidiaProbe, nvidiaProbe } from './probe.ts'
export { nvidiaReaders } from './readers.ts'
export { judgeEvent } from './xid.ts'
