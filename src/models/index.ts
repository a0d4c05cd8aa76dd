export type * from './contract.ts'
export { tensorBytes } from './gguf/tensor-types.ts'
