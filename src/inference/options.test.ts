import { expect, it } from 'vitest'
import { defaultOptions } from './options.ts'

it('the defaults are those of Ollama 0.33', () => {
  expect(defaultOptions).toEqual({
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
  })
})
