export { type Clock, systemClock } from './clock.ts'
export { formatCpuList, parseCpuList } from './cpu-list.ts'
export { randomHex, randomId } from './ids.ts'
