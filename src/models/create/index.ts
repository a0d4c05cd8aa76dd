export { createModelMaker } from './make.ts'
export { createLlamaTools, type ModelTools } from './tools.ts'
