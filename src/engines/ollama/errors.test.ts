import { describe, expect, it } from 'vitest'
import { OllamaError } from './client.ts'
import { loadError, requestError } from './errors.ts'

describe("an Ollama's refusal of a request", () => {
  it.each([
    [
      400,
      'the prompt is longer than the context length currently available to the model; shorten',
      'context_exceeded',
    ],
    [400, 'the input length exceeds the context length', 'context_exceeded'],
    [400, '{"error":{"type":"exceed_context_size_error"}}', 'context_exceeded'],
    [400, 'input after truncation exceeds maximum context length', 'context_exceeded'],
    [500, 'model requires more system memory (9.1 GiB) than is available (2 GiB)', 'insufficient_memory'],
    [500, 'llama-server process has terminated: cudaMalloc failed: out of memory', 'insufficient_memory'],
    [501, 'This server does not support embeddings. Start it with `--embeddings`', 'not_embedding_model'],
    [500, 'llama runner process has terminated: exit status 2', 'engine_crashed'],
    [200, 'model runner has unexpectedly stopped, this may be due to resource limitations', 'engine_crashed'],
    [500, 'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object', 'invalid_format'],
    [503, 'server busy, please try again.  maximum pending requests exceeded', 'busy'],
    [503, 'upstream connect error', 'busy'],
    [400, 'illegal base64 data at input byte 4', 'invalid_request'],
    [500, 'something new', 'engine_failed'],
  ])('of status %i that reads %j is %s', (status, message, code) => {
    const error = requestError(new OllamaError(status, message))
    expect(error.code).toBe(code)
    expect(error.message).toContain(message)
  })

  it('is not introduced twice', () => {
    const message = 'an error was encountered while running the model: unexpected EOF'
    expect(requestError(new OllamaError(500, message)).message).toBe(message)
  })
})

describe("an Ollama's refusal to load", () => {
  it.each([
    ['model requires more system memory (9.1 GiB) than is available (2 GiB)', 'insufficient_memory'],
    ['timed out waiting for llama runner to start - progress 0.50', 'load_stalled'],
    ['timed out waiting for llama-server to start - ', 'load_stalled'],
    ['unable to load model: /models/blobs/sha256-0', 'load_failed'],
  ])('that reads %j is %s', (message, code) => {
    const error = loadError(new OllamaError(500, message), 'tiny', 'http://127.0.0.1:11435')
    expect(error.code).toBe(code)
    expect(error.message).toBe(`the Ollama at http://127.0.0.1:11435 could not load tiny: ${message}`)
  })
})
