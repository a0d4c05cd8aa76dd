import { DroverError, type Logprob, type TokenLogprob, type Usage } from '../../inference/index.ts'
import type { CompletionRequest, EngineDoneEvent, EngineProgressEvent } from '../contract.ts'
import { jsonObjectGrammar } from '../json-grammar.ts'
import type { ServerError, ServerEvent } from './client.ts'

/** What the running server said about the model. */
export interface ModelFacts {
  contextLength: number
  /** The BOS text, where the tokenizer adds one by itself. */
  addedBos: string | undefined
  /** What stands for an image in a prompt. */
  mediaMarker: string
}

/** Only these come back with the last event, which else repeats the prompt and every setting. */
const finalFields = ['content', 'stop', 'stop_type', 'stopping_word', 'timings', 'tokens']
/** Where a last event has the grammar that the server made of a schema. */
export const grammarField = 'generation_settings/grammar'

/** The body of `POST /completion`. */
export function completionBody(request: CompletionRequest, model: ModelFacts): Record<string, unknown> {
  const { sampling, format, topLogprobs } = request
  return {
    prompt: promptField(request, model),
    stream: true,
    cache_prompt: true,
    return_tokens: true,
    return_progress: true,
    response_fields: finalFields,
    n_predict: request.maxTokens,
    n_keep: Math.max(-1, sampling.num_keep),
    // Seeds are 32 bits wide; the highest, and the default, is a random one.
    ...(sampling.seed >= 0 && { seed: sampling.seed % 0xffff_ffff }),
    temperature: sampling.temperature,
    top_k: sampling.top_k,
    top_p: sampling.top_p,
    min_p: sampling.min_p,
    typical_p: sampling.typical_p,
    // Not every version takes -1 for the whole context.
    repeat_last_n: sampling.repeat_last_n < 0 ? model.contextLength : sampling.repeat_last_n,
    repeat_penalty: sampling.repeat_penalty,
    presence_penalty: sampling.presence_penalty,
    frequency_penalty: sampling.frequency_penalty,
    stop: request.stop,
    ...(format === 'json' && { grammar: jsonObjectGrammar }),
    ...(typeof format === 'object' && { json_schema: format }),
    ...(request.preservedTokens?.length && { preserved_tokens: request.preservedTokens }),
    ...(topLogprobs !== undefined && { n_probs: Math.max(1, topLogprobs) }),
  }
}

function promptField({ prompt, images }: CompletionRequest, { addedBos, mediaMarker }: ModelFacts): unknown {
  if (typeof prompt !== 'string') return prompt
  // The server would add a second BOS, which changes what the model says.
  const text = withoutBos(prompt, addedBos)
  if (!images?.length) return text
  // The server takes the images in the order of their marks.
  const named: Uint8Array[] = []
  const marked = text.replace(/\[img-(\d+)\]/g, (written, index) => {
    const image = images[Number(index)]
    if (!image) return written
    named.push(image)
    return mediaMarker
  })
  const unnamed = images.filter((image) => !named.includes(image))
  // The server aborts on a prompt that ends with an image: it finds no token to go on from.
  const end = marked.endsWith(mediaMarker) || marked === '' ? '\n' : ''
  return {
    prompt_string: mediaMarker.repeat(unnamed.length) + marked + end,
    multimodal_data: [...unnamed, ...named].map((image) => Buffer.from(image).toString('base64')),
  }
}

export const withoutBos = (text: string, addedBos: string | undefined): string =>
  addedBos && text.startsWith(addedBos) ? text.slice(addedBos.length) : text

/** A `/completion` event of a token. The server omits the tokens of characters that are not yet whole. */
export interface TokenData {
  content: string
  tokens: number[]
  tokens_predicted: number
  completion_probabilities?: ServerLogprob[]
}

interface ServerLogprob {
  token: string
  bytes?: number[]
  logprob: number
  top_logprobs?: ServerLogprob[]
}

export function toLogprobs(probabilities: readonly ServerLogprob[], topLogprobs: number): Logprob[] {
  return probabilities.map((entry) => ({
    ...toTokenLogprob(entry),
    ...(topLogprobs > 0 && {
      top_logprobs: (entry.top_logprobs ?? []).slice(0, topLogprobs).map(toTokenLogprob),
    }),
  }))
}

function toTokenLogprob({ token, logprob, bytes }: ServerLogprob): TokenLogprob {
  return { token, logprob, bytes: bytes ?? [...Buffer.from(token)] }
}

export function toProgress(event: ServerEvent): EngineProgressEvent | undefined {
  const progress = event['prompt_progress'] as
    | { total: number; processed: number; cache?: number }
    | undefined
  if (!progress) return undefined
  return { type: 'progress', processedTokens: progress.processed, totalTokens: progress.total }
}

export function toDone(event: ServerEvent): EngineDoneEvent {
  const stopSequence = event['stopping_word']
  return {
    type: 'done',
    reason: event['stop_type'] === 'limit' ? 'length' : 'stop',
    usage: toUsage(event['timings'] as Partial<Timings> | undefined),
    ...(typeof stopSequence === 'string' && stopSequence !== '' && { stopSequence }),
  }
}

interface Timings {
  cache_n: number
  prompt_n: number
  prompt_ms: number
  predicted_n: number
  predicted_ms: number
  /** Only where something guessed ahead. */
  draft_n?: number
  draft_n_accepted?: number
}

function toUsage(timings: Partial<Timings> = {}): Usage {
  const cachedTokens = timings.cache_n ?? 0
  return {
    promptTokens: cachedTokens + (timings.prompt_n ?? 0),
    cachedTokens,
    outputTokens: timings.predicted_n ?? 0,
    promptMs: timings.prompt_ms ?? 0,
    outputMs: timings.predicted_ms ?? 0,
    ...(timings.draft_n !== undefined && {
      draftTokens: timings.draft_n,
      draftAcceptedTokens: timings.draft_n_accepted ?? 0,
    }),
  }
}

const tooLong = /exceed_context_size|context size|context length|too large to process|physical batch size/

/** What a refusal of the server means to a client. */
export function toDroverError(error: ServerError, of: 'prompt' | 'input'): DroverError {
  const options = { cause: error }
  if (tooLong.test(error.type) || tooLong.test(error.message)) {
    return of === 'input'
      ? new DroverError('context_exceeded', 'the input length exceeds the context length', options)
      : new DroverError(
          'context_exceeded',
          'the prompt is longer than the context length currently available to the model; shorten the prompt, ' +
            'adjust the context length in settings, or use a model with a longer context length',
          options,
        )
  }
  if (/grammar|json_schema/.test(error.message)) {
    return new DroverError('invalid_format', `invalid format: ${error.message}`, options)
  }
  if (error.status === 501) return new DroverError('not_embedding_model', error.message, options)
  if (error.status === 400) return new DroverError('invalid_request', error.message, options)
  return new DroverError(
    'engine_failed',
    `an error was encountered while running the model: ${error.message}`,
    options,
  )
}
