import type {
  ChatRequest,
  EmbedRequest,
  EmbedResult,
  InferenceEvent,
  InferenceRequest,
} from '../inference/index.ts'
import type { StoredModel } from '../models/index.ts'

/** A model that is running now, for `/api/ps`. */
export interface LoadedModel {
  stored: StoredModel
  /** Tokens of one slot. */
  contextLength: number
  slots: number
  sizeBytes: number
  vramBytes: number
  /** Milliseconds since the epoch; Infinity for ever. */
  expiresAtMs: number
}

/** Request in, events out: everything between a dialect and the engines. */
export interface Router {
  /**
   * Answers a request. Nothing happens before the first `next()`; an error before the first event is the
   * request's refusal, one after it is a break in the answer. An empty chat or prompt only loads the model
   * (`done` with reason `load`), or unloads it when `keepAliveMs` is 0 (reason `unload`).
   * Throws `DroverError` with the wording of Ollama's API.
   */
  answer(request: InferenceRequest, signal: AbortSignal): AsyncIterable<InferenceEvent>
  /** The prompt that `answer` would send to the engine, without sending it. */
  render(request: InferenceRequest, signal: AbortSignal): Promise<{ prompt: string; imageCount: number }>
  /**
   * Tokens of the prompt that `answer` would send, images by estimate; nothing is cut to fit. Loads the model, whose
   * tokenizer counts. Throws as `answer` does.
   */
  countTokens(request: ChatRequest, signal: AbortSignal): Promise<number>
  embed(request: EmbedRequest, signal: AbortSignal): Promise<EmbedResult>
  /** Longest remaining first. */
  loaded(): LoadedModel[]
  /**
   * Replaces every instance of a model by a new one, one after the other, while requests go on. How many there were is
   * returned; throws `model_not_found`.
   */
  restart(model: string): Promise<number>
  /** Refuses new requests, lets running ones end for `drainMs`, stops every engine. Call again to hurry. */
  close(options: { drainMs: number }): Promise<void>
}
