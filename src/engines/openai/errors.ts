import { DroverError, type ErrorCode } from '../../inference/index.ts'
import type { OpenAiError } from './client.ts'

/** What a request was about: the words of a refusal differ. */
export type Asked = 'prompt' | 'input'

const tooLong =
  /exceed_context_size|context_length_exceeded|maximum context length|context (?:size|length|window)|longer than the (?:model's )?(?:maximum )?(?:context|model length)|max_model_len|max_seq_len|too large to process|physical batch size|input after truncation exceeds/i
const outOfMemory =
  /out of memory|OutOfMemoryError|insufficient (?:memory|VRAM)|failed to allocate|unable to allocate|cudaMalloc failed|No available memory for the cache blocks|bad_alloc/i
const engineEnded =
  /EngineDeadError|EngineCore encountered|engine (?:is dead|process has)|model runner has unexpectedly stopped|no models? (?:is|are) (?:currently )?loaded|process has terminated/i
const embedsNot =
  /does not support (?:the )?embed|not (?:appear to )?be an embedding model|embeddings? (?:api|model) (?:is )?not|No embedding model/i
const badFormat =
  /grammar|json[_ ]?schema|response_format|structured[_ ]?outputs?|guided[_ ]|invalid (?:json )?schema|unsupported schema/i

/** Known words of these servers, in the order in which they are looked for. */
const meanings: readonly (readonly [RegExp, ErrorCode])[] = [
  [tooLong, 'context_exceeded'],
  [outOfMemory, 'insufficient_memory'],
  [embedsNot, 'not_embedding_model'],
  [engineEnded, 'engine_crashed'],
  [badFormat, 'invalid_format'],
]

/** What a refusal of a request means to a client. */
export function requestError(error: OpenAiError, asked: Asked): DroverError {
  const { status, type, message, retryAfterMs } = error
  const options = { cause: error, ...(retryAfterMs !== undefined && { retryAfterMs }) }
  const code = codeOf(status, `${type} ${message}`)
  switch (code) {
    case 'context_exceeded':
      return contextExceeded(asked, error)
    case 'invalid_format':
      return new DroverError(code, `invalid format: ${message}`, options)
    case 'engine_failed':
      return new DroverError(code, `an error was encountered while running the model: ${message}`, options)
    default:
      return new DroverError(code, message, options)
  }
}

function codeOf(status: number, words: string): ErrorCode {
  const known = meanings.find(([pattern]) => pattern.test(words))
  if (known) return known[1]
  switch (status) {
    case 400:
    case 422:
      return 'invalid_request'
    // The key, the model's name or the route are wrong: another server may have them right.
    case 401:
    case 403:
    case 404:
      return 'engine_unavailable'
    case 429:
    case 503:
      return 'busy'
    case 501:
      return 'not_embedding_model'
    default:
      return 'engine_failed'
  }
}

/** In the words that Ollama's clients know. */
export function contextExceeded(asked: Asked, cause?: unknown): DroverError {
  const message =
    asked === 'input'
      ? 'the input length exceeds the context length'
      : 'the prompt is longer than the context length currently available to the model; shorten the prompt, ' +
        'adjust the context length in settings, or use a model with a longer context length'
  return new DroverError('context_exceeded', message, { cause })
}

/** What a refusal to load means, with the server's reason. */
export function loadError(error: OpenAiError, modelName: string, server: string): DroverError {
  const code = outOfMemory.test(error.message) ? 'insufficient_memory' : 'load_failed'
  return new DroverError(code, `${server} could not load ${modelName}: ${error.message}`, { cause: error })
}
