import { DroverError, type ErrorCode } from '../../inference/index.ts'
import type { OllamaError } from './client.ts'

const tooLong =
  /prompt is longer than the context|exceeds? the (?:available )?context|exceed_context_size|input after truncation exceeds|exceeds maximum context length/i
const outOfMemory =
  /out of memory|requires more system memory|insufficient memory|failed to allocate|unable to allocate|cudaMalloc failed|OutOf(?:Device|Host)Memory|bad_alloc|cannot allocate memory/i
const runnerEnded =
  /model runner has unexpectedly stopped|(?:runner|llama-server) process (?:has terminated|no longer running)|runner (?:has )?terminated/i
const loadStalled = /timed out waiting for (?:llama|the model|server)/i
const embedsNot = /does not support embed|This server does not support embeddings/i

/** Known words of an Ollama, in the order in which they are looked for. */
const meanings: readonly (readonly [RegExp, ErrorCode])[] = [
  [tooLong, 'context_exceeded'],
  [outOfMemory, 'insufficient_memory'],
  [embedsNot, 'not_embedding_model'],
  [runnerEnded, 'engine_crashed'],
  [/invalid format|failed to (?:parse|create) grammar|json_schema|unsupported schema/i, 'invalid_format'],
  [/server busy|maximum pending requests exceeded/i, 'busy'],
]

/** What a refusal of a request means to a client; the words stay the server's. */
export function requestError(error: OllamaError): DroverError {
  const { status, message } = error
  const options = { cause: error }
  const known = meanings.find(([words]) => words.test(message))
  if (known) return new DroverError(known[1], message, options)
  if (status === 503) return new DroverError('busy', message, options)
  if (status === 400) return new DroverError('invalid_request', message, options)
  const wrapped = /^an error was encountered while running the model/.test(message)
  const text = wrapped ? message : `an error was encountered while running the model: ${message}`
  return new DroverError('engine_failed', text, options)
}

/** What a refusal to load means: `insufficient_memory`, `load_stalled` or `load_failed`, with the server's reason. */
export function loadError(error: OllamaError, modelName: string, url: string): DroverError {
  const { message } = error
  const code = outOfMemory.test(message)
    ? 'insufficient_memory'
    : loadStalled.test(message)
      ? 'load_stalled'
      : 'load_failed'
  return new DroverError(code, `the Ollama at ${url} could not load ${modelName}: ${message}`, {
    cause: error,
  })
}
