import { createHash } from 'node:crypto'
import type { MockCore } from '../core.ts'
import type { MockModel } from '../model.ts'
import { chatTemplate } from './chat.ts'

const withTag = (name: string) => (/:[^/]*$/.test(name) ? name : `${name}:latest`)
const details = {
  parent_model: '',
  format: 'gguf',
  family: 'mock',
  families: ['mock'],
  parameter_size: '1B',
  quantization_level: 'Q4_K_M',
}

function identityOf({ settings }: MockCore, { name }: MockModel) {
  return {
    name: withTag(name),
    model: withTag(name),
    size: settings.modelBytes,
    digest: createHash('sha256').update(`drover mock engine ${name}`).digest('hex'),
  }
}

/** An entry of `/api/tags`. */
export function listedModel(core: MockCore, model: MockModel) {
  return { ...identityOf(core, model), modified_at: '2026-01-01T00:00:00Z', details }
}

/** In a day of the twenty-fourth century, as Ollama tells "for ever". */
const foreverMs = Date.UTC(2318, 0, 1)

/** An entry of `/api/ps`. */
export function runningModel(core: MockCore, model: MockModel) {
  const expiresAtMs = Math.min(foreverMs, Date.now() + model.expiresInMs())
  return {
    ...identityOf(core, model),
    details,
    expires_at: new Date(expiresAtMs).toISOString(),
    size_vram: core.settings.modelBytes,
    context_length: core.settings.contextTokens,
  }
}

/** The answer of `/api/show`. */
export function shownModel({ settings }: MockCore, { name }: MockModel) {
  return {
    modelfile: `# A model of the mock engine\nFROM ${withTag(name)}\n`,
    template: chatTemplate,
    details,
    model_info: {
      'general.architecture': 'mock',
      'general.parameter_count': 1_000_000_000,
      'mock.context_length': settings.contextTokens,
      'mock.embedding_length': settings.embeddingDimensions,
    },
    capabilities: ['completion', 'embedding'],
    modified_at: '2026-01-01T00:00:00Z',
  }
}
