import type { SamplingOptions } from '../engines/index.ts'
import { defaultOptions, type ModelOptions } from '../inference/index.ts'
import type { LoadOptions } from './lifecycle/index.ts'

/** Longest answer, in contexts, when a request sets no limit or a larger one: Ollama's bound on runaway answers. */
const longestAnswerContexts = 10

/** The model's parameters, then the request's on top; defaults are not filled in. */
export function mergeOptions(parameters: ModelOptions, requested: ModelOptions): ModelOptions {
  return { ...parameters, ...requested }
}

/** The options an engine samples by, every default filled in. */
export function samplingOf(options: ModelOptions): SamplingOptions {
  const pick = <K extends keyof SamplingOptions>(key: K): SamplingOptions[K] =>
    options[key] ?? defaultOptions[key]
  return {
    num_keep: pick('num_keep'),
    seed: pick('seed'),
    temperature: pick('temperature'),
    top_k: pick('top_k'),
    top_p: pick('top_p'),
    min_p: pick('min_p'),
    typical_p: pick('typical_p'),
    repeat_last_n: pick('repeat_last_n'),
    repeat_penalty: pick('repeat_penalty'),
    presence_penalty: pick('presence_penalty'),
    frequency_penalty: pick('frequency_penalty'),
  }
}

/** Most tokens to generate: `num_predict`, where it is set and within the bound. */
export function maxTokensOf(options: ModelOptions, contextLength: number): number {
  const bound = longestAnswerContexts * contextLength
  const wanted = options.num_predict ?? defaultOptions.num_predict
  return wanted < 0 || wanted > bound ? bound : Math.max(1, wanted)
}

/**
 * The load-time options a request insists on. A context beyond the trained one is cut to it; negative numbers of
 * GPU layers, and a 0 for threads, leave the choice to the engine, as in Ollama.
 */
export function loadOptionsOf(options: ModelOptions, trainedContextLength: number): LoadOptions {
  const load: LoadOptions = {}
  if (options.num_ctx !== undefined && options.num_ctx > 0) {
    load.contextLength = Math.min(Math.max(4, options.num_ctx), trainedContextLength)
  }
  if (options.num_batch !== undefined && options.num_batch > 0) load.batchSize = options.num_batch
  if (options.num_gpu !== undefined && options.num_gpu >= 0) load.gpuLayers = options.num_gpu
  if (options.main_gpu !== undefined) load.mainGpu = options.main_gpu
  if (options.use_mmap !== undefined) load.useMmap = options.use_mmap
  if (options.num_thread !== undefined && options.num_thread > 0) load.threads = options.num_thread
  return load
}
