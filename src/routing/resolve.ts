import { DroverError, type InferenceRequest } from '../inference/index.ts'
import {
  type Capability,
  type ModelDescription,
  type ModelStore,
  templateOptionsOf,
} from '../models/index.ts'
import { compileTemplate, type PromptTemplate } from '../prompts/index.ts'

/** A model ready to be prompted. */
export interface ResolvedModel {
  description: ModelDescription
  template: PromptTemplate
  /** Models with the same key are the same files on disk, so one instance serves them all. */
  key: string
}

/** Templates compiled and kept; a model's template does not change while its manifest does not. */
const mostTemplates = 64

/** Finds models by name and keeps their compiled templates. */
export function createResolver(
  store: ModelStore,
  prefersGoTemplate?: boolean,
): (name: string) => Promise<ResolvedModel | undefined> {
  const resolved = new Map<string, ResolvedModel>()
  return async (name) => {
    const stored = await store.find(name)
    if (!stored) return undefined
    const cacheKey = `${stored.digest} ${stored.fullName}`
    const known = resolved.get(cacheKey)
    if (known) return known
    const description = await store.describe(stored)
    const template = compileTemplate({
      ...templateOptionsOf(stored, description.file),
      ...(prefersGoTemplate !== undefined && { goTemplateSetting: prefersGoTemplate }),
    })
    const model = { description, template, key: [stored.modelPath, ...stored.adapterPaths].join('|') }
    if (resolved.size >= mostTemplates) resolved.delete(resolved.keys().next().value ?? '')
    resolved.set(cacheKey, model)
    return model
  }
}

/** Throws `unsupported` with Ollama's words when a request asks for what the model cannot do. */
export function checkCapabilities(request: InferenceRequest, model: ResolvedModel): void {
  const { capabilities, stored } = model.description
  const has = (capability: Capability) => capabilities.includes(capability)
  if (!has('completion'))
    throw new DroverError('unsupported', `"${request.model}" does not support ${request.kind}`)
  const missing: Capability[] = []
  if (request.kind === 'chat' && request.tools && request.tools.length > 0 && !has('tools'))
    missing.push('tools')
  if (request.kind === 'generate' && request.suffix && !has('insert')) missing.push('insert')
  if (carriesImages(request) && !has('vision')) missing.push('vision')
  if (missing.length > 0) {
    throw new DroverError('unsupported', `${stored.fullName} does not support ${missing.join('\n')}`)
  }
  if (request.think && !has('thinking')) {
    throw new DroverError('unsupported', `"${request.model}" does not support thinking`)
  }
}

function carriesImages(request: InferenceRequest): boolean {
  if (request.kind === 'generate') return (request.images?.length ?? 0) > 0
  return request.messages.some((message) => (message.images?.length ?? 0) > 0)
}
