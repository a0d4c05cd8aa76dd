export { eventsOf, type KernelEvent, parseXid } from './kernel-log.ts'
export { createNvidiaProbe, nvidiaProbe } from './probe.ts'
export { nvidiaReaders } from './readers.ts'
export { judgeEvent, type XidSeverity, type XidVerdict, xidInfo, xidVerdict } from './xid.ts'
