export { type HostFacts, readHost } from './host.ts'
