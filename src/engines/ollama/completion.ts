import { DroverError, type Logprob, type Usage } from '../../inference/index.ts'
import type { CompletionRequest, EngineDoneEvent, InstanceSpec } from '../contract.ts'
import type { OllamaLine } from './client.ts'

/**
 * What every request to a model says alike: Ollama loads a model anew when any of it changes, and takes the keep-alive
 * of the last request.
 */
export interface ModelSettings {
  model: string
  keep_alive: string | number
  options: Record<string, number | boolean>
}

/** The load-time options of a spec; what it leaves open is Ollama's choice. */
export function settingsOf(
  { modelName, contextLength, gpuLayers, batchSize, threads, cores, useMmap }: InstanceSpec,
  keepAlive: string | number,
): ModelSettings {
  const numThread = threads ?? cores?.length
  return {
    model: modelName,
    keep_alive: keepAlive,
    options: {
      num_ctx: contextLength,
      ...(gpuLayers !== 'auto' && { num_gpu: gpuLayers }),
      ...(batchSize !== undefined && { num_batch: batchSize }),
      ...(numThread !== undefined && { num_thread: numThread }),
      ...(useMmap !== undefined && { use_mmap: useMmap }),
    },
  }
}

/**
 * The body of `POST /api/generate` for a rendered prompt. All options are given, so that none of the model's own
 * parameters in the server comes in. Throws `unsupported` for what Ollama's API has no words for.
 */
export function generateBody(
  request: CompletionRequest & { prompt: string },
  settings: ModelSettings,
  contextShift: boolean,
): Record<string, unknown> {
  const { prompt, images, format, formatPrefix = '', topLogprobs } = request
  // An empty one would only load the model.
  if (prompt === '') throw new DroverError('unsupported', 'an Ollama does not continue an empty prompt')
  if (format !== undefined && formatPrefix !== '') {
    throw new DroverError(
      'unsupported',
      'an Ollama cannot go on with an answer that was begun under a format: it takes no grammar',
    )
  }
  return {
    ...settings,
    prompt: withImageMarks(prompt, images?.length ?? 0),
    raw: true,
    stream: true,
    // Thinking is told apart by Drover; asked for it, Ollama would do it in raw prompts too.
    think: false,
    // Drover has cut the prompt already; what is still too long is to be refused, not cut again.
    truncate: false,
    shift: contextShift,
    options: {
      ...settings.options,
      ...request.sampling,
      num_predict: request.maxTokens,
      stop: request.stop,
    },
    ...(images?.length && { images: images.map((image) => Buffer.from(image).toString('base64')) }),
    ...(format !== undefined && { format }),
    ...(topLogprobs !== undefined && { logprobs: true, top_logprobs: topLogprobs }),
  }
}

/** Ollama puts an image where `[img-N]` stands in a raw prompt; what has no place there comes first. */
function withImageMarks(prompt: string, images: number): string {
  const marks = Array.from({ length: images }, (_, index) => `[img-${index}]`)
  return marks.filter((mark) => !prompt.includes(mark)).join('') + prompt
}

export function tokensUnsupported(): DroverError {
  return new DroverError(
    'unsupported',
    'an Ollama embeds texts only, not tokens: send the text, or use another engine for this model',
  )
}

export function logprobsOf({ logprobs }: OllamaLine): Logprob[] | undefined {
  return Array.isArray(logprobs) && logprobs.length > 0 ? (logprobs as Logprob[]) : undefined
}

/** The last line of an answer. Ollama does not say which stop string ended it, nor how much of the prompt was cached. */
export function doneOf(line: OllamaLine): EngineDoneEvent {
  return { type: 'done', reason: line['done_reason'] === 'length' ? 'length' : 'stop', usage: usageOf(line) }
}

/** Counts and durations are left out where they are 0. */
function usageOf(line: OllamaLine): Usage {
  const count = (key: string) => (typeof line[key] === 'number' ? line[key] : 0)
  return {
    promptTokens: count('prompt_eval_count'),
    cachedTokens: 0,
    outputTokens: count('eval_count'),
    promptMs: count('prompt_eval_duration') / 1e6,
    outputMs: count('eval_duration') / 1e6,
  }
}
