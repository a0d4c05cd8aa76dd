export { startGuardian } from './guardian.ts'
export { pinned } from './pin.ts'
export { type GuardedProcess, type ProcessExit, spawnGuarded } from './spawn.ts'
export { defaultThreads } from './threads.ts'
