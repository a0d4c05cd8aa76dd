export { type Clock, systemClock } from './clock.ts'
export { randomHex, randomId } from './ids.ts'
