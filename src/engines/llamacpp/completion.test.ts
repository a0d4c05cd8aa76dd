import { describe, expect, it } from 'vitest'
import { request } from '../../../test/support/llama-bench.ts'
import { ServerError } from './client.ts'
import { completionBody, type ModelFacts, toDone, toDroverError } from './completion.ts'

const model: ModelFacts = { contextLength: 512, addedBos: '<s>', mediaMarker: '<m>' }
const images = [Uint8Array.of(1, 2), Uint8Array.of(3)]

describe('the body of a completion', () => {
  it('puts images where the prompt names them, and those it does not name before it', () => {
    const prompt = (text: string) => completionBody(request({ prompt: text, images }), model)['prompt']
    expect(prompt('<s>see [img-1] and [img-0] now')).toEqual({
      prompt_string: 'see <m> and <m> now',
      multimodal_data: ['Aw==', 'AQI='],
    })
    expect(prompt('see [img-1] [img-7] now')).toEqual({
      prompt_string: '<m>see <m> [img-7] now',
      multimodal_data: ['AQI=', 'Aw=='],
    })
    expect(prompt('see')).toMatchObject({ prompt_string: '<m><m>see' })
  })

  it('has a word after the last image', () => {
    const prompt = (text: string) => completionBody(request({ prompt: text, images }), model)['prompt']
    expect(prompt('see [img-0][img-1]')).toMatchObject({ prompt_string: 'see <m><m>\n' })
  })

  it('names the special tokens that are to be shown', () => {
    const body = (changes: object) => completionBody(request(changes), model)
    expect(body({ preservedTokens: ['<think>'] })).toMatchObject({ preserved_tokens: ['<think>'] })
    expect(body({})).not.toHaveProperty('preserved_tokens')
  })

  it('sends a fixed seed but no random one, and spells the whole context out', () => {
    const { sampling } = request()
    const body = (changes: object) =>
      completionBody(request({ sampling: { ...sampling, ...changes } }), model)
    expect(body({ seed: 42 })).toMatchObject({ seed: 42 })
    expect(body({ seed: -1 })).not.toHaveProperty('seed')
    expect(body({ repeat_last_n: -1 })).toMatchObject({ repeat_last_n: 512 })
  })
})

describe('what the server answers', () => {
  it('counts cached tokens as part of the prompt', () => {
    const timings = { cache_n: 5, prompt_n: 2, prompt_ms: 1.5, predicted_n: 3, predicted_ms: 4.5 }
    expect(toDone({ stop: true, stop_type: 'word', stopping_word: 'end', timings })).toEqual({
      type: 'done',
      reason: 'stop',
      stopSequence: 'end',
      usage: { promptTokens: 7, cachedTokens: 5, outputTokens: 3, promptMs: 1.5, outputMs: 4.5 },
    })
    expect(toDone({ stop: true, stop_type: 'limit', stopping_word: '' })).toMatchObject({ reason: 'length' })
  })

  it.each([
    [400, 'exceed_context_size_error', 'request (9 tokens) exceeds', 'context_exceeded'],
    [
      500,
      'server_error',
      'input is too large to process. increase the physical batch size',
      'context_exceeded',
    ],
    [
      400,
      'invalid_request_error',
      'Failed to initialize samplers: failed to parse grammar',
      'invalid_format',
    ],
    [501, 'not_supported_error', 'This server does not support embeddings', 'not_embedding_model'],
    [400, 'invalid_request_error', '"prompt" must not be empty', 'invalid_request'],
    [500, 'server_error', 'Compute error.', 'engine_failed'],
  ])('with status %i, %s, "%s" is %s', (status, type, message, code) => {
    expect(toDroverError(new ServerError(status, type, message), 'prompt').code).toBe(code)
  })
})
