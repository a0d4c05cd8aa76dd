/**
 * Sampling and loading options by Ollama's names and meanings. Every field is optional: what a request leaves
 * out comes from the model's parameters, then from `defaultOptions`.
 */
export interface ModelOptions {
  /** Context length in tokens, per slot. Load-time. */
  num_ctx?: number
  num_batch?: number
  /** Layers on the GPU; -1 decides by itself, 0 keeps all on the CPU. Load-time. */
  num_gpu?: number
  main_gpu?: number
  use_mmap?: boolean
  num_thread?: number
  draft_num_predict?: number
  /** Tokens of the prompt's start that survive a context shift. */
  num_keep?: number
  /** -1 is a random seed. */
  seed?: number
  /** Most tokens to generate; negative is bounded by ten times the context. */
  num_predict?: number
  temperature?: number
  top_k?: number
  top_p?: number
  min_p?: number
  typical_p?: number
  /** How many last tokens the repeat penalty looks at; -1 is the whole context. */
  repeat_last_n?: number
  repeat_penalty?: number
  presence_penalty?: number
  frequency_penalty?: number
  stop?: string[]
}

/** Ollama's defaults of the options that belong to a request. */
export const defaultOptions = {
  num_keep: 4,
  seed: -1,
  num_predict: -1,
  temperature: 0.8,
  top_k: 40,
  top_p: 0.9,
  min_p: 0,
  typical_p: 1,
  repeat_last_n: 64,
  repeat_penalty: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  stop: [],
} as const satisfies ModelOptions
