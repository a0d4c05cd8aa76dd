export { environmentOf } from './environment.ts'
export { argumentsOf, flagsOf, pathOf } from './help.ts'
export { main } from './main.ts'
export { createProgram } from './program.ts'
