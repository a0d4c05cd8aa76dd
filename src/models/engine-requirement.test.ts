import { expect, it } from 'vitest'
import { ollamaOnly } from './engine-requirement.ts'

const file = (architecture: string, ...names: string[]) =>
  ({
    shape: { architecture },
    tensors: names.map((name) => ({ name, type: 'F16', shape: [1] })),
  }) as Parameters<typeof ollamaOnly>[0]

it.each([
  [file('gptoss', 'blk.0.attn_q.weight'), /"gptoss", which llama\.cpp knows as "gpt-oss"/],
  [file('qwen25vl', 'v.blk.0.attn_q.weight'), /"qwen25vl", which llama\.cpp knows as "qwen2vl"/],
  [file('glmocr', 'blk.0.attn_q.weight'), /^its architecture is "glmocr"$/],
  [
    file('gemma3', 'blk.0.attn_q.weight', 'v.blk.0.attn_q.weight', 'mm.mm_input_projection.weight'),
    /image encoder/,
  ],
  [file('qwen3vl', 'v.patch_embd.weight'), /image encoder/],
])('%j needs the loader of Ollama', (model, reason) => {
  expect(ollamaOnly(model)).toMatch(reason)
})

it.each([
  [file('llama', 'blk.0.attn_q.weight')],
  [file('gpt-oss', 'blk.0.attn_q.weight')],
  [file('gemma3', 'blk.0.attn_q.weight')],
  [file('qwen3vl', 'blk.0.attn_q.weight')],
  [file('clip', 'v.blk.0.attn_q.weight', 'mm.0.weight')],
])('%j is for every llama.cpp', (model) => {
  expect(ollamaOnly(model)).toBeUndefined()
})
