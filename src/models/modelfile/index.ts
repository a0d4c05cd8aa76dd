export { readModelfileParameters } from './parameters.ts'
export { type Modelfile, parseModelfile } from './parse.ts'
