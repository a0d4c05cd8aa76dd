export { type CheckedModel, checkStore, type StoreCheck, type StoreProblem } from './check.ts'
export type * from './contract.ts'
export { createLlamaTools, createModelMaker, type ModelTools } from './create/index.ts'
export { templateOptionsOf } from './describe.ts'
export { ollamaOnly } from './engine-requirement.ts'
export { writeAtomically } from './files.ts'
export { readGguf } from './gguf/read.ts'
export { tensorBytes } from './gguf/tensor-types.ts'
export { type GgufMetadata, type GgufTensor, gguf, writeGguf } from './gguf/write.ts'
export { type Modelfile, parseModelfile, readModelfileParameters } from './modelfile/index.ts'
export { displayShortest, parseModelName } from './names.ts'
export { removeUnused } from './prune.ts'
export { createRegistry, type RegistryOptions } from './registry/registry.ts'
export { readSafetensors } from './safetensors/read.ts'
export {
  type SafetensorsModel,
  type SafetensorsSizes,
  type SafetensorsTensor,
  safetensorsModel,
} from './safetensors/shape.ts'
export { type ShownModel, showModel } from './show.ts'
export { openStore, type StoreOptions } from './store.ts'
