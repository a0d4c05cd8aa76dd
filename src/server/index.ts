export { chooseEngine, enginesOf } from './engine-choice.ts'
export { cpuPartsOf } from './machine.ts'
export { runDirPath, sweepRunDirs } from './run-dir.ts'
export { type RunningServer, startServer } from './start.ts'
