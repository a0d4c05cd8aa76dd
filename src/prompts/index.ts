export { type CompileTemplateOptions, compileTemplate, validateGoTemplate } from './compile.ts'
export type * from './contract.ts'
export { createOutputParser } from './output-parser.ts'
