import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Message } from '../inference/index.ts'
import { shorten } from './embed.ts'
import { loadOptionsOf, maxTokensOf, mergeOptions, samplingOf } from './options.ts'
import { dropMiddle, withoutOldest } from './render.ts'

describe('options', () => {
  it('of the request win over the model file, which win over the defaults', () => {
    const options = mergeOptions({ temperature: 0.2, top_k: 7 }, { temperature: 0 })
    expect(samplingOf(options)).toMatchObject({ temperature: 0, top_k: 7, top_p: 0.9, repeat_last_n: 64 })
  })

  it('bound an answer to ten contexts', () => {
    expect(maxTokensOf({}, 100)).toBe(1000)
    expect(maxTokensOf({ num_predict: -2 }, 100)).toBe(1000)
    expect(maxTokensOf({ num_predict: 5000 }, 100)).toBe(1000)
    expect(maxTokensOf({ num_predict: 7 }, 100)).toBe(7)
  })

  it('insist on loading only with what was asked for, within the trained context', () => {
    expect(loadOptionsOf({}, 2048)).toEqual({})
    expect(loadOptionsOf({ num_ctx: 9999, num_gpu: -1, num_thread: 0, main_gpu: 0 }, 2048)).toEqual({
      contextLength: 2048,
      mainGpu: 0,
    })
    expect(loadOptionsOf({ num_ctx: 1, num_gpu: 0, num_batch: 64, use_mmap: false }, 2048)).toEqual({
      contextLength: 4,
      gpuLayers: 0,
      batchSize: 64,
      useMmap: false,
    })
  })
})

describe('a prompt that is too long', () => {
  const role = fc.constantFrom('system' as const, 'user' as const, 'assistant' as const)
  const messages = fc.array(fc.record({ role, content: fc.string() }), { minLength: 1, maxLength: 12 })

  it('loses its oldest turns, never the system’s and never the last', () => {
    fc.assert(
      fc.property(messages, fc.nat(15), (all: Message[], count) => {
        const kept = withoutOldest(all, count)
        expect(kept.at(-1)).toBe(all.at(-1))
        expect(kept.filter((m) => m.role === 'system')).toEqual(all.filter((m) => m.role === 'system'))
        expect(all.length - kept.length).toBeLessThanOrEqual(count)
      }),
    )
  })

  it('keeps its head and its end, half a context long', () => {
    fc.assert(
      fc.property(fc.integer({ min: 8, max: 500 }), fc.integer({ min: 0, max: 300 }), (context, keep) => {
        const tokens = Array.from({ length: context + 10 }, (_, i) => i)
        const kept = dropMiddle(tokens, keep, context)
        expect(kept).toHaveLength(context >> 1)
        expect(kept.at(-1)).toBe(tokens.at(-1))
        const head = Math.min(keep, (context >> 1) - 1)
        expect(kept.slice(0, head)).toEqual(tokens.slice(0, head))
      }),
    )
  })
})

describe('an embedding', () => {
  it('cut short has length one again', () => {
    const short = shorten(new Float32Array([0.6, 0.8, 0, 0]), 1)
    expect([...short]).toEqual([1])
    expect(shorten(new Float32Array([1, 0]), 5)).toHaveLength(2)
  })
})
