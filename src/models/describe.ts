import { compileTemplate } from '../prompts/index.ts'
import type { Capability, ModelDescription, ModelDetails, ModelFile, StoredModel } from './contract.ts'
import { humanCount } from './human.ts'

/** What Ollama's built-in parsers add to a model whose config names one. */
const parserCapabilities: Record<string, readonly Capability[]> = {
  harmony: ['tools', 'thinking'],
  qwen3: ['tools'],
  'qwen3-thinking': ['tools', 'thinking'],
  'qwen3.5': ['tools', 'thinking'],
  ornith: ['tools', 'thinking'],
  'qwen3-coder': ['tools'],
  'qwen3-vl-instruct': ['tools'],
  'qwen3-vl-thinking': ['tools', 'thinking'],
  ministral: ['tools'],
  deepseek3: ['tools', 'thinking'],
  cogito: ['tools', 'thinking'],
  olmo3: ['tools'],
  'olmo3-think': ['thinking'],
  'nemotron-3-nano': ['tools', 'thinking'],
  'nemotron-3.5-nano': ['tools', 'thinking'],
  functiongemma: ['tools'],
  'glm-4.7': ['tools', 'thinking'],
  'glm-ocr': ['thinking'],
  gemma4: ['tools', 'thinking'],
  'gemma4-no-thinking': ['tools'],
  lfm2: ['tools'],
  'lfm2-thinking': ['tools', 'thinking'],
  laguna: ['tools', 'thinking'],
  'poolside-v1': ['tools', 'thinking'],
  cohere: ['tools', 'thinking'],
  glimmer: ['tools', 'thinking'],
}

const allCapabilities: readonly Capability[] = [
  'completion',
  'tools',
  'insert',
  'vision',
  'embedding',
  'thinking',
  'image',
  'audio',
]

/**
 * Puts together what manifest, model file and projector say. Throws `DroverError` `invalid_request` where the
 * model's template does not compile.
 */
export function describeModel(stored: StoredModel, file: ModelFile, projector?: ModelFile): ModelDescription {
  const capabilities = new Set<Capability>([
    ...allCapabilities.filter((capability) => stored.config.capabilities?.includes(capability)),
    ...fileCapabilities(file),
    ...projectorCapabilities(projector),
    ...templateCapabilities(stored, file),
    ...(parserCapabilities[stored.config.parser ?? ''] ?? []),
  ])
  return {
    stored,
    file,
    details: detailsOf(stored, file),
    capabilities: allCapabilities.filter((capability) => capabilities.has(capability)),
    ...(projector && { projector }),
  }
}

/** The manifest's words; the file's where a tool that wrote the manifest left them out. */
function detailsOf({ config, parentModel }: StoredModel, { shape, fileType }: ModelFile): ModelDetails {
  const contextLength = config.context_length ?? shape.contextLength
  const embeddingLength = config.embedding_length ?? shape.embeddingLength
  return {
    parent_model: parentModel ?? '',
    format: config.model_format ?? 'gguf',
    family: config.model_family ?? shape.architecture,
    families: config.model_families ?? (config.model_family === undefined ? [shape.architecture] : null),
    parameter_size: config.model_type ?? humanCount(shape.parameterCount),
    quantization_level: config.file_type ?? fileType,
    ...(contextLength > 0 && { context_length: contextLength }),
    ...(embeddingLength > 0 && { embedding_length: embeddingLength }),
  }
}

function fileCapabilities({ metadata, shape, pooling }: ModelFile): Capability[] {
  const { architecture } = shape
  const capabilities: Capability[] = [pooling ? 'embedding' : 'completion']
  if (metadata[`${architecture}.vision.block_count`] !== undefined) capabilities.push('vision')
  if (metadata[`${architecture}.audio.block_count`] !== undefined) capabilities.push('audio')
  if (architecture === 'gptoss' || architecture === 'gpt-oss') capabilities.push('thinking')
  return capabilities
}

function projectorCapabilities(projector: ModelFile | undefined): Capability[] {
  if (projector === undefined) return []
  return projector.metadata['clip.has_audio_encoder'] === true ? ['vision', 'audio'] : ['vision']
}

function templateCapabilities(stored: StoredModel, file: ModelFile): Capability[] {
  const { chatTemplate, bosToken, eosToken } = file
  const { capabilities } = compileTemplate({
    ...(stored.template !== undefined && { goTemplate: stored.template }),
    ...(chatTemplate !== undefined && { chatTemplate }),
    ...(bosToken !== undefined && { bosToken }),
    ...(eosToken !== undefined && { eosToken }),
  })
  return (['tools', 'thinking', 'insert'] as const).filter((capability) => capabilities[capability])
}
