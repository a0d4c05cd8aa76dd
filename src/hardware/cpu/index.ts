export { type CpuPart, cpuDevices } from './devices.ts'
export { type CpuFacts, readCpu } from './facts.ts'
