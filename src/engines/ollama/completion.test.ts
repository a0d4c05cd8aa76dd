import { describe, expect, it } from 'vitest'
import { specOf } from '../../../test/support/engine-contract/bench.ts'
import { request as anyRequest } from '../../../test/support/llama-bench.ts'
import { doneOf, generateBody, logprobsOf, settingsOf } from './completion.ts'

const request = ({
  prompt = 'the sheep',
  ...more
}: { prompt?: string } & Parameters<typeof anyRequest>[0] = {}) => ({
  ...anyRequest(more),
  prompt,
})

const settings = settingsOf(specOf('/m.gguf', { modelName: 'tiny', gpuLayers: 'auto' }), -1)

describe('the settings of a model', () => {
  it('leave to Ollama what the spec leaves open', () => {
    expect(settings).toEqual({ model: 'tiny', keep_alive: -1, options: { num_ctx: 512, num_thread: 1 } })
  })

  it('name layers, batch, threads and mapping where the spec does', () => {
    const { threads: _threads, ...unpinned } = specOf('/m.gguf', {
      batchSize: 128,
      useMmap: false,
      cores: [2, 3],
    })
    expect(settingsOf(unpinned, '5m')).toMatchObject({
      keep_alive: '5m',
      options: { num_gpu: 0, num_batch: 128, use_mmap: false, num_thread: 2 },
    })
  })
})

describe('the body of a request', () => {
  it('is the prompt as it is, with every option, so that none of the model comes in', () => {
    const body = generateBody(request({ stop: ['a'], maxTokens: 7 }), settings, true)
    expect(body).toMatchObject({
      model: 'tiny',
      keep_alive: -1,
      prompt: 'the sheep',
      raw: true,
      stream: true,
      think: false,
      truncate: false,
      shift: true,
    })
    expect(body['options']).toEqual({
      num_ctx: 512,
      num_thread: 1,
      ...request().sampling,
      num_predict: 7,
      stop: ['a'],
    })
    expect(body).not.toHaveProperty('logprobs')
  })

  it('carries format, probabilities and images, whose missing places come first', () => {
    const images = [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)]
    const asked = request({ prompt: 'see [img-1]?', images, format: 'json', topLogprobs: 3 })
    expect(generateBody(asked, settings, false)).toMatchObject({
      prompt: '[img-0][img-2]see [img-1]?',
      images: ['AQ==', 'Ag==', 'Aw=='],
      format: 'json',
      logprobs: true,
      top_logprobs: 3,
    })
  })

  it('cannot go on under a format', () => {
    expect(() => generateBody(request({ format: 'json', formatPrefix: '{' }), settings, false)).toThrowError(
      expect.objectContaining({ code: 'unsupported' }),
    )
  })

  it('cannot be made of an empty prompt', () => {
    expect(() => generateBody(request({ prompt: '' }), settings, false)).toThrowError(
      expect.objectContaining({ code: 'unsupported' }),
    )
  })
})

describe('the last line', () => {
  it('tells reason and costs, of which those that are 0 are left out', () => {
    const line = { done: true, done_reason: 'length', prompt_eval_count: 5, prompt_eval_duration: 2_500_000 }
    const usage = { promptTokens: 5, cachedTokens: 0, outputTokens: 0, promptMs: 2.5, outputMs: 0 }
    expect(doneOf(line)).toEqual({ type: 'done', reason: 'length', usage })
    expect(doneOf({ done: true }).reason).toBe('stop')
  })

  it('has probabilities only where there are some', () => {
    const entry = { token: 'a', logprob: -1, bytes: [97] }
    expect(logprobsOf({ logprobs: [entry] })).toEqual([entry])
    expect(logprobsOf({ logprobs: [] })).toBeUndefined()
    expect(logprobsOf({})).toBeUndefined()
  })
})
