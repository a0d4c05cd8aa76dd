import { type CompileTemplateOptions, compileTemplate } from '../prompts/index.ts'
import type { Capability, ModelDescription, ModelDetails, ModelFile, StoredModel } from './contract.ts'
import { humanCount } from './human.ts'

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
  const { capabilities } = compileTemplate(templateOptionsOf(stored, file))
  return (['tools', 'thinking', 'insert'] as const).filter((capability) => capabilities[capability])
}

/** What a model's prompts follow from. */
export function templateOptionsOf(
  { template, config }: StoredModel,
  file: ModelFile,
): CompileTemplateOptions {
  const { chatTemplate, bosToken, eosToken, shape } = file
  return {
    ...(template !== undefined && { goTemplate: template }),
    ...(chatTemplate !== undefined && { chatTemplate }),
    ...(bosToken !== undefined && { bosToken }),
    ...(eosToken !== undefined && { eosToken }),
    ...(config.renderer && { renderer: config.renderer }),
    ...(config.parser && { parser: config.parser }),
    architecture: shape.architecture,
    parameterCount: shape.parameterCount,
  }
}
