export { ModelfileError } from './commands.ts'
export { type Modelfile, parseModelfile } from './parse.ts'
