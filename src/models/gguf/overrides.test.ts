import { describe, expect, it } from 'vitest'
import { metadataOverrides } from './overrides.ts'

const tokens: string[] = []
tokens[128_009] = '<|eot_id|>'
const llama3 = {
  'general.architecture': 'llama',
  'tokenizer.ggml.tokens': tokens,
  'tokenizer.ggml.pre': 'llama-bpe',
  'tokenizer.ggml.eos_token_id': 128_009,
}

describe('overrides of a file of the Llama 3 family', () => {
  it.each([undefined, 'default'])('name its tokenizer where it says %s', (pre) => {
    expect(metadataOverrides({ ...llama3, 'tokenizer.ggml.pre': pre })).toEqual({
      'tokenizer.ggml.pre': 'llama-bpe',
    })
  })

  it('end an answer with the end of the turn', () => {
    expect(metadataOverrides({ ...llama3, 'tokenizer.ggml.eos_token_id': 128_001 })).toEqual({
      'tokenizer.ggml.eos_token_id': 128_009,
      'tokenizer.ggml.eot_token_id': 128_009,
    })
  })

  it('are none where nothing is wrong', () => {
    expect(metadataOverrides(llama3)).toEqual({})
  })
})

it.each([
  [{ ...llama3, 'general.architecture': 'qwen2', 'tokenizer.ggml.pre': 'default' }],
  [{ 'general.architecture': 'llama', 'tokenizer.ggml.tokens': ['a'] }],
  [{}],
])('no other file has overrides', (metadata) => {
  expect(metadataOverrides(metadata)).toEqual({})
})
