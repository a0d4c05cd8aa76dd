export { type CpuPart, cpuDevices } from './devices.ts'
export { type CpuFacts, readCpu } from './facts.ts'
export { createCpuProbe } from './probe.ts'
