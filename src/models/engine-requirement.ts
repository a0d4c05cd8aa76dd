import type { ModelFile } from './contract.ts'

/**
 * Architectures that Ollama names in a way of its own, and what llama.cpp calls them, if it knows them at all. Files
 * with these names are laid out for the loader that Ollama patches into its llama.cpp.
 */
const ollamaNames: Record<string, string | undefined> = {
  gptoss: 'gpt-oss',
  qwen25vl: 'qwen2vl',
  glm4moelite: 'deepseek2',
  glmocr: undefined,
  deepseekocr: undefined,
  olmo3: 'olmo2',
  nemotron_h_omni: undefined,
  laguna: undefined,
}

/** Architectures whose name is the same, but whose images Ollama reads by an encoder in the model's own file. */
const visionTensor = /^(v|mm|vision|multi_modal_projector)\./

/**
 * Why only Ollama's own loader can run a model file; undefined where llama.cpp can. A file from its publisher (by
 * `hf.co/...`) has the layout that every llama.cpp reads.
 */
export function ollamaOnly({ shape, tensors }: Pick<ModelFile, 'shape' | 'tensors'>): string | undefined {
  const { architecture } = shape
  const inline = architecture !== 'clip' && tensors.some(({ name }) => visionTensor.test(name))
  if (Object.hasOwn(ollamaNames, architecture)) {
    const theirs = ollamaNames[architecture]
    return `its architecture is "${architecture}"${theirs ? `, which llama.cpp knows as "${theirs}"` : ''}`
  }
  return inline ? 'its image encoder lies in the same file' : undefined
}
