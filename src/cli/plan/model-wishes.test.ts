import { describe, expect, it } from 'vitest'
import { modelWithWishes } from './model-wishes.ts'

describe('a model with wishes of its own', () => {
  it.each([
    ['qwen3:8b', { model: 'qwen3:8b' }],
    ['qwen3:8b,ctx=8192,replicas=2', { model: 'qwen3:8b', context_length: 8192, replicas: 2 }],
    ['a,kv-cache-type=q8_0,cpu_offload=false', { model: 'a', kv_cache_type: 'q8_0', cpu_offload: false }],
    ['a,pin=gpu0,pin=vendor=amd,engine=vllm', { model: 'a', pin: ['gpu0', 'vendor=amd'], engines: ['vllm'] }],
    ['./odd, name=1/a.gguf,slots=2', { model: './odd, name=1/a.gguf', slots: 2 }],
    ['a,ctx=', { model: 'a', context_length: '' }],
    ['', { model: '' }],
  ])('is read from %j', (text, body) => {
    expect(modelWithWishes(text)).toEqual(body)
  })
})
