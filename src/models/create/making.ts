import { DroverError } from '../../inference/index.ts'
import type { CreateRequest, ModelStore, Registry } from '../contract.ts'
import type { Layer } from '../manifest.ts'
import type { KnownTemplate } from './known-templates.ts'
import type { ModelTools } from './tools.ts'

/** Where to make models, and with what. */
export interface MakerOptions {
  store: ModelStore
  /** Fetches a model to start from that is not here. */
  registry: Pick<Registry, 'pull'>
  tools: ModelTools
}

/** A layer on its way into a manifest. */
export interface NewLayer extends Layer {
  /** Whether the store had it before. */
  known: boolean
}

/** What a model is made from, before its texts are laid over it. */
export interface Base {
  layers: NewLayer[]
  config: Record<string, unknown>
  /** Parameters that its family wants where nobody says otherwise. */
  parameters?: object
  /** The format that the model's own template was found to be. */
  detected?: KnownTemplate
}

/** What the parts of the making share. */
export interface Making extends MakerOptions {
  request: CreateRequest
  signal: AbortSignal
  /** Puts a small text into the store. */
  putText(mediaType: string, text: string): Promise<NewLayer>
}

/** A request that cannot be fulfilled, in Ollama's words. */
export function refusal(message: string): DroverError {
  return new DroverError('invalid_request', message)
}
